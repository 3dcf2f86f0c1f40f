# The paper's FID, by MMagic's metric. It is not among the metrics of the data sets, because it needs the weights of an
# Inception-v3 (95 MB), which MMagic downloads without being asked where no file is named. Get the TorchScript file
# inception-2015-12-05.pt of StyleGAN2-ADA, put it at inception_path, and write a config of three lines:
#   _base_ = ['places2_irregular.py', '../../_base_/metrics/fid.py']
#   test_evaluator = [*_base_.test_evaluator, _base_.fid]
# and, for another test set than Places2's: fid = dict(fake_nums=...)
fid = dict(
    type='TransFID',
    fake_nums=36_500,  # as many as there are test photographs
    inception_path='data/inception-2015-12-05.pt',
    # Statistics of the true photographs, made in the first run: delete them when the test photographs change. MMagic's
    # own cache tells data sets apart by their folder, not by their list.
    inception_pkl='work_dirs/fid/places2.pkl',
    # where MMagic's inpaintors put the image that is reported
    sample_model='output',
    fake_key='pred_img',
    real_key='gt_img',
    prefix='FID',
)
