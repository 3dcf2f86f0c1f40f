"""How long a training takes: a config is given another number of iterations."""

from copy import deepcopy

# iterations that are run to see how long one takes
TRIAL = 20


def make_trial(config, iterations=TRIAL):
    """Copies a config to time a few iterations; it neither validates nor begins with weights."""
    trial = deepcopy(config)
    trial.train_cfg.max_iters = iterations
    trial.update(val_dataloader=None, val_cfg=None, val_evaluator=None)
    trial.update(test_dataloader=None, test_cfg=None, test_evaluator=None)
    trial.update(load_from=None, log_level='ERROR')
    return trial


def mean_time(times):
    """How many seconds an iteration takes: the mean over the second half of those that were timed."""
    return float(times[len(times) // 2 :].mean())


def require_length(config):
    """Refuses a config whose length cannot be set.

    Raises:
        ValueError: It trains by epochs, or saves no checkpoints.
    """
    if 'max_iters' not in config.train_cfg:
        raise ValueError('it trains by epochs; a budget needs train_cfg with max_iters')
    if not (config.get('default_hooks') or {}).get('checkpoint'):
        raise ValueError('it saves no checkpoints; give it default_hooks.checkpoint, such as type=SafeCheckpointHook')


def set_length(config, iterations):
    """Sets the number of iterations; schedules keep their shape, validation is at the end."""
    factor = iterations / config.train_cfg.max_iters
    schedulers = []
    given = config.get('param_scheduler') or []
    for scheduler in given if isinstance(given, list | tuple) else [given]:
        for key in ('begin', 'end', 'T_max'):
            if key in scheduler:
                scheduler[key] = round(scheduler[key] * factor)
        if 'milestones' in scheduler:
            scheduler.milestones = [round(milestone * factor) for milestone in scheduler.milestones]
        if 'end' not in scheduler or scheduler.end > scheduler.get('begin', 0):
            schedulers.append(scheduler)
    if schedulers:
        config.param_scheduler = schedulers
    else:
        config.pop('param_scheduler', None)
    config.train_cfg.update(max_iters=iterations, val_interval=iterations)
    config.default_hooks.checkpoint.interval = max(1, iterations // 4)
