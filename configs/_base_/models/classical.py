# Methods without weights; `method` picks one.
model = dict(
    type='ClassicalInpaintor',
    method='telea',
    data_preprocessor=dict(type='DataPreprocessor', mean=[127.5] * 3, std=[127.5] * 3, output_channel_order='RGB'),
)
