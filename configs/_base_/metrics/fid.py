# FID, by torch-fidelity. It is not among the metrics of the data sets, because it needs the weights of an Inception-v3
# (95 MB): get torch-fidelity's weights-inception-2015-12-05-6726825d.pth, put it at the path below, and write a config
# of two lines:
#   _base_ = ['places2_irregular.py', '../../_base_/metrics/fid.py']
#   test_evaluator = [*_base_.test_evaluator, _base_.fid]
fid = dict(type='InceptionFID', weights='data/weights-inception-2015-12-05-6726825d.pth')
