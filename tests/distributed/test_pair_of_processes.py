"""Two processes do what one does at the same global batch."""

import json
import math

import cases
import pytest
import runs
import torch
from mmengine.runner import Runner
from pair import answers_of_pair

from cainet_mm.apis import evaluate_method, load_model

pytestmark = pytest.mark.slow
PARTS = ('generator', 'disc')
CHECKS = (
    *('stage2', 'stage2_accumulated', 'stage2_disc_step', 'stage2_clipped', 'stage1', 'stage1_batch_norm'),
    *('masked_l1', 'seeds_by_rank', 'metrics', 'validation', 'strategy'),
)


def pair(check):
    """What both processes answered to a check."""
    return [answers[check] for answers in answers_of_pair(*CHECKS)[1]]


def assert_same_training(pair, one, parts):
    """Losses, gradients and weights of two processes are those of one, to the rounding of float64."""
    assert len(pair[0]['losses']) == len(one['losses'])
    for *shares, whole in zip(*(answer['losses'] for answer in pair), one['losses'], strict=True):
        assert {*shares[0]} == {*shares[1]} == {*whole}
        for name, value in whole.items():
            assert (shares[0][name] + shares[1][name]) / 2 == pytest.approx(value, rel=1e-12, abs=1e-15), name
        # each process logs its own
        assert any(abs(shares[0][name] - shares[1][name]) > 1e-3 * abs(value) for name, value in whole.items())
    for part in parts:
        gradients = [answer['gradients'][part] for answer in (*pair, one)]
        assert len({len(steps) for steps in gradients}) == 1
        for first, second, whole in zip(*gradients, strict=True):
            assert max(value.abs().max() for value in whole) > 1e-3
            for ours, theirs, reference in zip(first, second, whole, strict=True):
                assert torch.equal(ours, theirs)
                torch.testing.assert_close(ours, reference, rtol=1e-10, atol=1e-13)
        weights = [answer['weights'][part] for answer in (*pair, one)]
        assert torch.equal(weights[0], weights[1])
        torch.testing.assert_close(weights[0], weights[2], rtol=0, atol=1e-12)
        assert (one['weights'][part] - one['before'][part]).abs().max() > 1e-5


class TestStage2:
    def test_losses_gradients_and_weights_of_three_steps(self):
        one = cases.train_stage2()
        assert {'loss_rec', 'loss_tv', 'loss_adv', 'loss_perceptual', 'loss_style'} < one['losses'][0].keys()
        assert one['losses'][0]['critic_penalty'] > 1
        assert_same_training(pair('stage2'), one, PARTS)

    def test_with_two_steps_of_the_critic_for_one_of_the_generator(self):
        one = cases.train_stage2(steps=4, disc_step=2, config=cases.plain_config())
        assert [len(one['gradients'][part]) for part in PARTS] == [2, 4]
        assert_same_training(pair('stage2_disc_step'), one, PARTS)

    def test_gradients_are_clipped_after_they_are_averaged(self):
        one = cases.train_stage2(steps=2, clip=dict(max_norm=1e-2), config=cases.plain_config())
        assert_same_training(pair('stage2_clipped'), one, PARTS)

    def test_accumulated_quarters_are_a_whole_step_and_wait_for_its_end(self):
        one = cases.train_stage2(steps=2, config=cases.additive_config())
        ours = pair('stage2_accumulated')
        for part in PARTS:
            assert torch.equal(ours[0]['weights'][part], ours[1]['weights'][part])
            torch.testing.assert_close(ours[0]['weights'][part], one['weights'][part], rtol=0, atol=1e-12)
            for step, reference in enumerate(one['gradients'][part]):
                for value, expected in zip(ours[0]['gradients'][part][step], reference, strict=True):
                    torch.testing.assert_close(value, expected, rtol=1e-10, atol=1e-13)
            # gradients go between the processes in every second backward pass alone
            apart = [
                (first - second).abs().max() > 1e-3
                for first, second in zip(ours[0]['passes'][part], ours[1]['passes'][part], strict=True)
            ]
            assert apart == [True, False, True, False]

    def test_mmagics_l1_in_the_hole_is_a_mean_over_samples_only_where_it_is_asked_for(self):
        shares, whole = pair('masked_l1'), runs.masked_l1(None)
        means = {sample_wise: (shares[0][sample_wise] + shares[1][sample_wise]) / 2 for sample_wise in whole}
        assert means[True] == pytest.approx(whole[True], rel=1e-12)
        assert abs(means[False] - whole[False]) > 1e-4


class TestStage1:
    def test_loss_gradients_queue_and_both_encoders(self):
        ours, one = pair('stage1'), cases.train_stage1()
        for first, second, whole in zip(ours[0]['losses'], ours[1]['losses'], one['losses'], strict=True):
            assert (first['loss'] + second['loss']) / 2 == pytest.approx(whole['loss'], rel=1e-11)
            assert (first['positive_first'] + second['positive_first']) / 2 == whole['positive_first']
        assert ours[0]['state'].keys() == one['state'].keys()
        for name, value in one['state'].items():
            assert torch.equal(ours[0]['state'][name], ours[1]['state'][name]), name
            torch.testing.assert_close(ours[0]['state'][name], value, rtol=0, atol=1e-11, msg=name)
        assert one['state']['queue_ptr'].item() == 6 * cases.SAMPLES % 16

    def test_the_queue_takes_the_keys_of_all_processes_in_their_order(self):
        # the single process enqueues its batch in order: the first half is what the first process saw
        ours, one = pair('stage1'), cases.train_stage1()
        for step in range(3):
            places = slice(step * cases.SAMPLES, (step + 1) * cases.SAMPLES)
            for answer in ours:
                torch.testing.assert_close(answer['queues'][step][:, places], one['queues'][step][:, places])
            keys = one['queues'][step][:, places]
            assert (keys[:, 0] - keys[:, 2]).abs().max() > 1e-3

    def test_statistics_of_batch_norm_are_each_processs_own_until_they_are_handed_over(self):
        first, second = pair('stage1_batch_norm')
        assert all(torch.equal(first['parameters'][name], second['parameters'][name]) for name in first['parameters'])
        apart = {name for name in first['trained'] if not torch.equal(first['trained'][name], second['trained'][name])}
        assert {name.rpartition('.')[2] for name in apart} == {'running_mean', 'running_var'}
        assert {name.split('.')[1] for name in apart} == {'backbone', 'encoder_k'}
        for name, value in first['trained'].items():
            assert torch.equal(first['same'][name], value)
            assert torch.equal(second['same'][name], value)

    @pytest.mark.parametrize('check', ['seeds_by_rank', 'strategy'])
    def test_all_processes_have_one_queue_and_one_model(self, check):
        first, second = pair(check)
        assert first.keys() == second.keys()
        assert all(torch.equal(first[name], second[name]) for name in first)
        assert first['queue_ptr'].item() > 0

    def test_crops_and_masks_of_a_step_are_those_of_one_process(self, tmp_path):
        config = runs.tiny('stage1', tmp_path)
        runner = runs.runner_of(config, 'alone')
        before = {name: value.clone() for name, value in runner.model.state_dict().items()}
        runner.train()
        moved = 0
        # the sampler deals the images out in turn, so the second process has every other one
        in_turn = torch.tensor([0, 2, 1, 3])
        order = torch.cat((in_turn, in_turn + 4, torch.arange(8, 16)))
        for name, value in runner.model.state_dict().items():
            value = value[:, order] if name == 'queue' else value
            torch.testing.assert_close(pair('strategy')[0][name], value, rtol=0, atol=1e-5, msg=name)
            moved = max(moved, (value - before[name]).abs().max().item())
        assert moved > 1e-3


class TestFigures:
    def test_seven_images_between_two_processes_count_once_each(self, tmp_path):
        first, second = pair('metrics')
        assert first == second
        alone = runs.evaluate_seven_images(tmp_path)
        assert {*runs.METRICS, 'LPIPS', 'FID'} == {*alone}
        assert all(math.isfinite(value) for value in alone.values())
        assert first == pytest.approx(alone, rel=1e-5)
        # the sampler hands the first image out twice; counted twice, it would show
        padded = runs.evaluate_seven_images(tmp_path, count=1)
        for name, value in padded.items():
            assert (7 * alone[name] + value) / 8 != pytest.approx(alone[name], rel=1e-4), name

    def test_what_is_validated_is_what_is_saved(self):
        folder, _ = answers_of_pair(*CHECKS)
        first, second = pair('validation')
        assert any(not torch.equal(first['trained'][name], second['trained'][name]) for name in first['trained'])
        assert all(torch.equal(first['trained'][name], value) for name, value in first['validated'].items())
        assert all(torch.equal(second['validated'][name], value) for name, value in first['validated'].items())
        config = runs.batch_norm_config(folder)
        model = load_model(config, folder / 'batch_norm/iter_2.pth')
        loader = Runner.build_dataloader(config.test_dataloader)
        figures = evaluate_method(model, loader, config.test_evaluator, rounded=False).metrics
        assert figures == pytest.approx(first['figures'], rel=1e-4)

    def test_the_log_has_the_losses_of_the_first_process(self):
        folder, _ = answers_of_pair(*CHECKS)
        (log,) = folder.glob('batch_norm/*/vis_data/scalars.json')
        entries = [json.loads(line) for line in log.read_text().splitlines()]
        logged = [entry['loss'] for entry in entries if 'loss' in entry]
        losses = [answer['losses']['train/loss'] for answer in pair('validation')]
        # MMEngine smooths over the last iterations
        assert logged == pytest.approx([losses[0][0], (losses[0][0] + losses[0][1]) / 2], rel=1e-6)
        assert abs(losses[0][0] - losses[1][0]) > 1e-3 * logged[0]


@pytest.mark.parametrize('path', runs.SMOKE, ids=lambda path: path.stem)
def test_a_baseline_is_the_same_model_in_both_processes(path):
    folder, answers = answers_of_pair('baselines')
    first, second = (answer['baselines'][path.stem] for answer in answers)
    values = [value for answer in (first, second) for log in answer['figures'].values() for value in log]
    assert values
    assert all(math.isfinite(value) for value in values)
    assert first['figures']['train/loss'] != second['figures']['train/loss']
    assert first['state'].keys() == second['state'].keys()
    assert [name for name, value in first['state'].items() if not torch.equal(value, second['state'][name])] == []
    # the checkpoint is that of a single process
    model = load_model(runs.Config.fromfile(path), folder / path.stem / 'iter_2.pth')
    saved = torch.load(folder / path.stem / 'iter_2.pth', weights_only=False, map_location='cpu')['state_dict']
    assert saved.keys() == model.state_dict().keys()
