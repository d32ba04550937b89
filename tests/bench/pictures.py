"""Draws what tests/bench/run measured, as SVG and PNG: bytes over time, rounds
over time, and downtime.

Needs python3-matplotlib of Debian; without it there are no pictures.

SPDX-License-Identifier: GPL-2.0-or-later
"""

import os
import statistics

from migrating import KINDS

COLOURS = dict(zip(KINDS, ('#1f77b4', '#aec7e8', '#2ca02c', '#98df8a',
                           '#d62728', '#ff9896')))
MIB = 1 << 20


def typical(runs):
    """The run whose time is the median, or next to it."""
    middle = statistics.median_low(run['seconds'] for run in runs)
    return next(run for run in runs if run['seconds'] == middle)


def draw_curve(axes, series, column, scale, label):
    for kind, runs in series.items():
        curve = typical(runs)['curve']
        axes.plot([point[0] for point in curve],
                  [point[column] / scale for point in curve],
                  drawstyle='steps-post' if column == 3 else 'default',
                  color=COLOURS[kind], label=f'({kind}) {KINDS[kind].text}')
    axes.set_xlabel('seconds')
    axes.set_ylabel(label)
    axes.grid(alpha=0.3)


def draw_downtime(axes, series):
    kinds = list(series)
    values = [[run['downtime'] for run in series[kind]] for kind in kinds]
    middles = [statistics.median(each) for each in values]
    errors = [[middle - min(each) for middle, each in zip(middles, values)],
              [max(each) - middle for middle, each in zip(middles, values)]]
    axes.bar([f'({kind})' for kind in kinds], middles, yerr=errors, capsize=3,
             color=[COLOURS[kind] for kind in kinds])
    axes.set_ylabel('downtime, ms')
    axes.grid(axis='y', alpha=0.3)


def draw(out, folder):
    """Returns the files."""
    import matplotlib               # pylint: disable=import-outside-toplevel
    matplotlib.use('Agg')
    matplotlib.rcParams['svg.hashsalt'] = 'bench'
    from matplotlib import pyplot   # pylint: disable=import-outside-toplevel

    loads = {load: {kind: series[kind] for kind in KINDS if series.get(kind)}
             for load, series in out['migration'].items()}
    loads = {load: series for load, series in loads.items() if series}
    if not loads:
        return []
    figure, axes = pyplot.subplots(3, len(loads), squeeze=False,
                                   figsize=(6 * len(loads), 11))
    for column, (load, series) in enumerate(loads.items()):
        axes[0][column].set_title(f'guest {load}')
        draw_curve(axes[0][column], series, 1, MIB, 'MiB sent')
        draw_curve(axes[1][column], series, 3, 1, 'round')
        draw_downtime(axes[2][column], series)
    axes[0][0].legend(fontsize='small')
    figure.tight_layout()
    paths = [os.path.join(folder, f'bench.{kind}') for kind in ('svg', 'png')]
    for path in paths:
        figure.savefig(path, metadata={'Date': None}
                       if path.endswith('svg') else None)
    pyplot.close(figure)
    return paths
