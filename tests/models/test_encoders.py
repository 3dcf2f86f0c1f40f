"""The encoder of both stages, and the checkpoint that it takes from one to the other."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mmagic.registry import MODELS
from mmengine.registry import init_default_scope
from mmpretrain.structures import DataSample
from torch import nn

SMALL = dict(widths=(4, 6, 8), kernels=(5, 3, 3))


def make_encoder(seed=0, **settings_):
    init_default_scope('mmagic')
    torch.manual_seed(seed)
    return MODELS.build(dict(type='CAINetEncoder', **{**SMALL, **settings_}))


def random_input(batch, height, width, channels=4):
    torch.manual_seed(height * 1000 + width)
    return torch.randn(batch, channels, height, width)


class TestBody:
    def test_default_is_the_body_of_the_paper(self):
        encoder = MODELS.build(dict(type='CAINetEncoder'))
        convolutions = [stage.conv for stage in encoder.stages]
        assert [conv.in_channels for conv in convolutions] == [4, 64, 128, 256, 512, 512, 512, 512]
        assert [conv.out_channels for conv in convolutions] == [64, 128, 256, 512, 512, 512, 512, 512]
        assert [conv.kernel_size for conv in convolutions] == [(size,) * 2 for size in (7, 5, 5, 3, 3, 3, 3, 3)]
        assert all(type(conv) is nn.Conv2d and conv.stride == (2, 2) for conv in convolutions)
        assert [stage.with_norm for stage in encoder.stages] == [False] + [True] * 7
        assert [stage.with_activation for stage in encoder.stages] == [False] + [True] * 7
        assert all(type(stage.norm) is nn.BatchNorm2d for stage in encoder.stages[1:])
        assert all(type(stage.activate) is nn.ReLU for stage in encoder.stages[1:])
        with torch.no_grad():
            features = encoder.eval()(random_input(1, 256, 256))
        assert [tuple(feature.shape[1:]) for feature in features] == [
            (width, size, size)
            for width, size in zip((64, 128, 256, 512, 512, 512, 512, 512), (128, 64, 32, 16, 8, 4, 2, 1), strict=True)
        ]

    def test_stages_are_strided_convolution_then_batch_norm_then_relu_but_for_the_first(self):
        encoder = make_encoder().double()
        inputs = random_input(2, 11, 8).double()
        features = encoder(inputs)
        expected = inputs
        for index, (stage, feature) in enumerate(zip(encoder.stages, features, strict=True)):
            weight = stage.conv.weight
            # the convolution written out: windows of the zero-padded image, every second one
            pad = weight.shape[-1] // 2
            windows = nn.functional.pad(expected, (pad,) * 4)
            windows = windows.unfold(2, weight.shape[-1], 2).unfold(3, weight.shape[-1], 2)
            expected = torch.einsum('nchwij,ocij->nohw', windows, weight)
            if index == 0:
                expected = expected + stage.conv.bias[:, None, None]
            else:
                # the norm takes the mean of the batch away, and with it any bias
                mean = expected.mean(dim=(0, 2, 3), keepdim=True)
                variance = (expected - mean).square().mean(dim=(0, 2, 3), keepdim=True)
                expected = torch.clamp((expected - mean) / torch.sqrt(variance + 1e-5), min=0)
            torch.testing.assert_close(feature, expected, rtol=1e-8, atol=1e-10)
        assert (features[0] < 0).any()

    @settings(deadline=None, max_examples=25)
    @given(height=st.integers(1, 40), width=st.integers(1, 40), batch=st.integers(1, 2))
    def test_every_stage_halves_any_size_rounding_up(self, height, width, batch):
        features = make_encoder().eval()(random_input(batch, height, width))
        assert [tuple(feature.shape) for feature in features] == [
            (batch, channels, math.ceil(height / 2**stage), math.ceil(width / 2**stage))
            for stage, channels in enumerate(SMALL['widths'], start=1)
        ]
        assert all(feature.isfinite().all() for feature in features)

    @pytest.mark.parametrize('out_indices', [(0,), (2,), (0, 2), [1], (2, 0)])
    def test_out_indices_pick_stages_finest_first(self, out_indices):
        inputs = random_input(2, 9, 9)
        every = make_encoder().eval()(inputs)
        picked = make_encoder(out_indices=out_indices).eval()(inputs)
        assert isinstance(picked, tuple)
        assert len(picked) == len(out_indices)
        assert all(torch.equal(one, every[index]) for one, index in zip(picked, sorted(out_indices), strict=True))

    def test_norm_activation_and_convolution_are_configurable(self):
        encoder = make_encoder(
            norm_cfg=dict(type='GN', num_groups=2), act_cfg=dict(type='LeakyReLU', negative_slope=0.1)
        )
        assert not encoder.stages[0].with_norm
        assert not encoder.stages[0].with_activation
        for stage in encoder.stages[1:]:
            assert type(stage.norm) is nn.GroupNorm
            assert type(stage.activate) is nn.LeakyReLU
        plain = make_encoder(norm_cfg=None, act_cfg=None)
        assert not any(stage.with_norm or stage.with_activation for stage in plain.stages)
        # without a norm every convolution has a bias
        assert all(stage.conv.bias is not None for stage in plain.stages)

        @MODELS.register_module(name='ScaledConv', force=True)
        class ScaledConv(nn.Conv2d):
            pass

        assert all(
            isinstance(stage.conv, ScaledConv) for stage in make_encoder(conv_cfg=dict(type='ScaledConv')).stages
        )

    def test_in_channels_is_configurable(self):
        features = make_encoder(in_channels=3).eval()(random_input(1, 8, 8, channels=3))
        assert features[0].shape == (1, 4, 4, 4)

    @pytest.mark.parametrize(
        ('settings_', 'sentence'),
        [
            (dict(widths=(4, 6)), r'one kernel size per width, got 2 widths \(4, 6\) and 3 kernels \(5, 3, 3\)'),
            (dict(widths=(), kernels=()), r'one kernel size per width, got 0 widths'),
            (dict(kernels=(5, 4, 3)), r'takes odd kernel sizes, got \(5, 4, 3\)'),
            (dict(out_indices=(0, 3)), r'has the stages 0 to 2, but out_indices is \(0, 3\)'),
            (dict(out_indices=(-1,)), r'has the stages 0 to 2, but out_indices is \(-1,\)'),
        ],
    )
    def test_settings_that_make_no_encoder_are_refused(self, settings_, sentence):
        with pytest.raises(ValueError, match=sentence):
            make_encoder(**settings_)


class TestMMPretrain:
    @pytest.mark.parametrize(('scope', 'prefix'), [('mmagic', 'mmpretrain.'), ('mmpretrain', '')])
    def test_serves_as_the_backbone_of_an_image_classifier(self, scope, prefix):
        init_default_scope(scope)
        torch.manual_seed(0)
        classifier = MODELS.build(
            dict(
                type='mmpretrain.ImageClassifier',
                backbone=dict(type='CAINetEncoder', in_channels=3, **SMALL),
                neck=dict(type=f'{prefix}GlobalAveragePooling'),
                head=dict(
                    type=f'{prefix}LinearClsHead',
                    num_classes=5,
                    in_channels=8,
                    loss=dict(type=f'{prefix}CrossEntropyLoss'),
                ),
                data_preprocessor=dict(type=f'{prefix}ClsDataPreprocessor', num_classes=5),
            )
        )
        images = random_input(4, 17, 13, channels=3)
        samples = [DataSample().set_gt_label(label) for label in (0, 1, 4, 2)]
        scores = classifier.eval()(images, mode='tensor')
        pooled = classifier.backbone(images)[-1].mean(dim=(2, 3))
        torch.testing.assert_close(scores, pooled @ classifier.head.fc.weight.T + classifier.head.fc.bias)
        predictions = classifier(images, samples, mode='predict')
        assert [sample.pred_label.item() for sample in predictions] == scores.argmax(dim=1).tolist()

        loss = classifier.train()(images, samples, mode='loss')['loss']
        loss.backward()
        assert loss.isfinite()
        assert all(parameter.grad is not None for parameter in classifier.parameters())
        assert classifier.backbone.stages[0].conv.weight.grad.abs().max() > 0


class TestPretrained:
    def save(self, path, seed=1, prefix='backbone.', extra=(), without=(), **settings_):
        """A checkpoint of stage 1, in which the encoder is one part of several."""
        encoder = make_encoder(seed, **settings_)
        weights = {prefix + key: value for key, value in encoder.state_dict().items() if key not in without}
        weights.update({prefix + key: torch.zeros(2) for key in extra})
        weights.update({'neck.fc.weight': torch.zeros(3), 'queue': torch.zeros(4)})
        torch.save(dict(state_dict=weights), path)
        return encoder.state_dict()

    def load(self, path, prefix='backbone.', **settings_):
        encoder = make_encoder(init_cfg=dict(type='Pretrained', checkpoint=str(path), prefix=prefix), **settings_)
        encoder.init_weights()
        return encoder.state_dict()

    @pytest.mark.parametrize('prefix', ['backbone.', 'backbone'])
    def test_checkpoint_that_fits_arrives_bit_for_bit(self, tmp_path, prefix):
        saved = self.save(tmp_path / 'stage1.pth')
        loaded = self.load(tmp_path / 'stage1.pth', prefix)
        assert loaded.keys() == saved.keys()
        assert all(torch.equal(loaded[key], saved[key]) for key in saved)
        # and is not what the encoder would have started from
        assert not torch.equal(loaded['stages.0.conv.weight'], make_encoder().state_dict()['stages.0.conv.weight'])

    @pytest.mark.parametrize('prefix', [{}, dict(prefix=None)], ids=['left out', 'none'])
    def test_checkpoint_of_the_encoder_alone_needs_no_prefix(self, tmp_path, prefix):
        saved = make_encoder(1).state_dict()
        torch.save(saved, tmp_path / 'encoder.pth')
        encoder = make_encoder(init_cfg=dict(type='Pretrained', checkpoint=str(tmp_path / 'encoder.pth'), **prefix))
        encoder.init_weights()
        assert all(torch.equal(value, saved[key]) for key, value in encoder.state_dict().items())

    def test_missing_keys_are_refused_by_name(self, tmp_path):
        self.save(tmp_path / 'stage1.pth', without=('stages.0.conv.bias', 'stages.1.bn.running_mean'))
        with pytest.raises(
            ValueError,
            match=r'does not fit the CAINetEncoder\. Keys missing: '
            r'stages\.0\.conv\.bias, stages\.1\.bn\.running_mean\.',
        ):
            self.load(tmp_path / 'stage1.pth')

    def test_left_over_keys_are_refused_by_name(self, tmp_path):
        self.save(tmp_path / 'stage1.pth', extra=('stages.3.conv.weight',))
        with pytest.raises(
            ValueError, match=r'does not fit the CAINetEncoder\. Keys left over: stages\.3\.conv\.weight\.'
        ):
            self.load(tmp_path / 'stage1.pth')

    def test_keys_of_another_shape_are_refused_with_both_shapes(self, tmp_path):
        self.save(tmp_path / 'stage1.pth', kernels=(7, 3, 3))
        with pytest.raises(
            ValueError,
            match=r'Keys of another shape: stages\.0\.conv\.weight '
            r'\(checkpoint \(4, 4, 7, 7\), module \(4, 4, 5, 5\)\)\.',
        ):
            self.load(tmp_path / 'stage1.pth')

    def test_all_problems_are_told_at_once(self, tmp_path):
        # batch norm against none: keys left over, and the biases that the norm made needless missing
        self.save(tmp_path / 'stage1.pth', kernels=(7, 3, 3))
        with pytest.raises(
            ValueError,
            match=r'Keys missing: stages\.1\.conv\.bias.*; keys left over: stages\.1\.bn\..*; keys of another shape: ',
        ):
            self.load(tmp_path / 'stage1.pth', norm_cfg=None)

    def test_checkpoint_that_is_one_of_several_init_cfgs_has_to_fit_as_well(self, tmp_path):
        saved = self.save(tmp_path / 'stage1.pth')
        several = [
            dict(type='Xavier', layer='Conv2d'),
            dict(type='Pretrained', checkpoint=str(tmp_path / 'stage1.pth'), prefix='backbone.'),
        ]
        encoder = make_encoder(init_cfg=several)
        encoder.init_weights()
        assert all(torch.equal(value, saved[key]) for key, value in encoder.state_dict().items())
        with pytest.raises(ValueError, match=r'Keys of another shape: stages\.0\.conv\.weight'):
            make_encoder(init_cfg=several, kernels=(7, 3, 3)).init_weights()

    @pytest.mark.parametrize('prefix', ['encoder', 'back'])
    def test_wrong_prefix_is_refused_and_told_what_the_keys_start_with(self, tmp_path, prefix):
        self.save(tmp_path / 'stage1.pth')
        with pytest.raises(
            ValueError,
            match=rf"no weights under the prefix '{prefix}\.'; its keys start with backbone\., neck\., queue",
        ):
            self.load(tmp_path / 'stage1.pth', prefix)

    def test_absent_checkpoint_is_refused_with_the_way_out(self, tmp_path):
        with pytest.raises(FileNotFoundError, match=r'absent\.pth.* does not exist\. Train stage 1 first'):
            self.load(tmp_path / 'absent.pth')
