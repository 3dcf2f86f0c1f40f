"""How long a training takes: a config is given another number of iterations."""


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
