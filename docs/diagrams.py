"""Draws the two stages and one dual attention fusion as docs/images/stages.png and docs/images/daf.png.

    python docs/diagrams.py [FOLDER]

Widths, sizes, scales and classes are read from the configs and their networks.
"""

import sys
from pathlib import Path

import matplotlib
import torch
from mmengine.config import Config
from mmengine.registry import MODELS

import cainet_mm.models  # noqa: F401 (registers the parts)

matplotlib.use('Agg')
import matplotlib.pyplot as plt  # noqa: E402

ROOT = Path(__file__).resolve().parents[1]
DATA, PART, LOSS = '#e8eef4', '#bfe3dc', '#f6d9b8'
SIZE = 256


class Drawing:
    """Boxes and arrows, in units of a box's height."""

    def __init__(self, width: float, height: float) -> None:
        self.figure, self.axes = plt.subplots(figsize=(width, height))
        self.axes.set(xlim=(0, width), ylim=(0, height))
        self.axes.axis('off')

    def box(self, x, y, text, colour=PART, width=1.6, height=0.7):
        """Put a box around its middle (x, y)."""
        style = dict(boxstyle='round,pad=0.02', facecolor=colour, edgecolor='#445', linewidth=0.8)
        self.axes.add_patch(matplotlib.patches.FancyBboxPatch((x - width / 2, y - height / 2), width, height, **style))
        self.label(x, y, text)

    def label(self, x, y, text, **style):
        """Write text around (x, y)."""
        self.axes.text(
            x, y, text, ha=style.pop('ha', 'center'), va='center', fontsize=style.pop('fontsize', 8), **style
        )

    def arrow(self, start, end, bend=0.0, **style):
        """Point from one place to another."""
        style = dict(arrowstyle='-|>', color='#445', linewidth=0.9) | style
        connection = f'arc3,rad={bend}'
        self.axes.annotate('', end, start, arrowprops=dict(style, connectionstyle=connection, shrinkA=0, shrinkB=0))

    def save(self, path):
        """Write a PNG."""
        self.figure.savefig(path, dpi=110, bbox_inches='tight', facecolor='white')
        plt.close(self.figure)


def sizes(generator):
    """Channels and side of each skip, and the sides of the outputs, for images of SIZE pixels."""
    image = torch.zeros(1, 4, SIZE, SIZE)
    with torch.no_grad():
        outputs = generator(image)
        features = generator.encoder(image)
    return [(feature.shape[1], feature.shape[-1]) for feature in features], [out.shape[-1] for out in outputs]


def draw_stages(path, stage1, stage2, generator):
    """Stage 1 above, stage 2 below."""
    features, outputs = sizes(generator)
    drawing = Drawing(13, 8.6)
    draw_stage1(drawing, stage1)
    draw_stage2(drawing, stage2, features, outputs)
    drawing.save(path)


def draw_stage1(drawing, stage1):
    """One image under two masks; the key encoder follows the query encoder."""
    drawing.label(0.1, 8.3, f'Stage 1: {stage1.type}', ha='left', fontsize=11, weight='bold')
    drawing.box(1.0, 7.1, 'one photograph', DATA)
    rows = ((7.6, 'mask of the query', 'query'), (6.6, 'mask of the key', 'key'))
    for y, mask, name in rows:
        drawing.box(3.3, y, mask, DATA)
        drawing.box(5.8, y, f'{stage1.backbone.type}\n({name})', PART, 2.0)
        drawing.box(8.2, y, f'{stage1.neck.type.split(".")[-1]}, {stage1.neck.out_channels}', PART, 1.7)
        drawing.arrow((1.8, 7.1), (2.5, y))
        drawing.arrow((4.1, y), (4.8, y))
        drawing.arrow((6.8, y), (7.35, y))
        drawing.arrow((9.05, y), (9.95, 7.2 if name == 'query' else 7.0))
    drawing.arrow((5.8, 7.25), (5.8, 6.95), linestyle='--')
    drawing.label(5.9, 7.1, f'Eq. (2), m = {1 - stage1.momentum:g}', ha='left')
    temperature = stage1.head.temperature
    drawing.box(10.9, 7.1, f'{stage1.head.type.split(".")[-1]}\nEq. (1), τ = {temperature}', LOSS, 1.9)
    drawing.box(10.9, 6.0, f'queue of {stage1.queue_len:,} keys', DATA, 1.9, 0.5)
    drawing.arrow((10.9, 6.25), (10.9, 6.75))
    drawing.arrow((8.2, 6.25), (9.95, 6.0), bend=0.15)


def draw_stage2(drawing, stage2, features, outputs):
    """Encoder to the right, decoder back to the left, an image from each of its last layers."""
    drawing.label(0.1, 5.3, f'Stage 2: {stage2.type}', ha='left', fontsize=11, weight='bold')
    xs = [2.2 + 1.28 * index for index in range(len(features))]
    drawing.box(0.85, 4.5, f'masked image\nand mask\n{SIZE}²', DATA, 1.3, 0.9)
    drawing.arrow((1.5, 4.5), (xs[0] - 0.5, 4.5))
    drawing.label(12.3, 4.5, f'{stage2.encdec.encoder.type}\nstarts from\nstage 1', ha='center')
    drawing.label(12.3, 3.1, stage2.encdec.decoder.type)
    for index, (x, (channels, side)) in enumerate(zip(xs, features, strict=True)):
        drawing.box(x, 4.5, f'{channels}\n{side}²', PART, 1.0)
        if index:
            drawing.arrow((xs[index - 1] + 0.5, 4.5), (x - 0.5, 4.5))
    # layer i of the decoder has the size of skip i: the input, then the encoder's stages
    drawing.arrow((xs[-1], 4.15), (xs[-1] - 0.78, 3.1), bend=-0.3)
    places = [xs[0] - 1.28, *xs[:-1]]
    sides = [SIZE, *(side for _, side in features[:-1])]
    for index, (x, side) in enumerate(zip(places, sides, strict=True)):
        drawing.box(x, 3.1, f'{side}²', PART, 1.0, 0.5)
        drawing.arrow((x, 4.05 if index == 0 else 4.15), (x, 3.35), linestyle=':')
        if index:
            drawing.arrow((x - 0.5, 3.1), (places[index - 1] + 0.5, 3.1))
        if index < len(outputs):
            drawing.arrow((x, 2.85), (x, 2.45))
            drawing.box(x, 2.2, 'DAF', PART, 1.0, 0.5)
            drawing.label(x, 1.75, f'scale {index + 1}')
    losses = stage2.losses
    critic, terms = stage2.disc.type, (losses.rec, losses.texture, losses.tv)
    names = [term.loss.type for term in terms] + [f'{critic} and {stage2.loss_gp.type}']
    spans = [max(term.scales) for term in terms] + [max(stage2.critic_scales)]
    for row, (name, last) in enumerate(zip(names, spans, strict=True)):
        y = 1.4 - 0.36 * row
        left, right = places[0] - 0.5, places[last - 1] + 0.5
        drawing.box((left + right) / 2, y, name, LOSS, right - left, 0.22)
        drawing.label(right + 0.15, y, f'scales 1 to {last}', ha='left')


def draw_fusion(path, fusion, name):
    """The parts of one fusion, with its channels."""
    gate = fusion.channel_attention
    channels, hidden = gate.squeeze.in_channels, gate.squeeze.out_channels
    drawing = Drawing(11.9, 3.4)
    drawing.label(0.1, 3.2, name, ha='left', fontsize=11, weight='bold')
    drawing.box(0.95, 2.3, f'feature F\n{channels} channels', DATA)
    drawing.box(3.2, 2.3, f'channel gate\n{channels} → {hidden} → {channels}\nEq. (3)–(5)', PART, 1.8, 0.9)
    drawing.box(5.4, 2.3, f'1x1 convolution\nto {fusion.to_image.out_channels} channels', PART)
    drawing.box(0.95, 0.7, 'masked image x', DATA)
    drawing.box(3.2, 0.7, 'down-scaled,\n1x1 convolution\nEq. (6)', PART, 1.8, 0.9)
    drawing.box(7.5, 1.5, 'three 3x3\nconvolutions, sigmoid\nα, Eq. (7)', PART, 1.8, 0.9)
    drawing.box(9.6, 1.5, 'blend\nEq. (8)', LOSS, 1.1)
    drawing.box(11.25, 1.5, 'image Ŷ', DATA, 1.1)
    for start, end in (((1.75, 2.3), (2.3, 2.3)), ((4.1, 2.3), (4.6, 2.3)), ((1.75, 0.7), (2.3, 0.7))):
        drawing.arrow(start, end)
    drawing.arrow((6.2, 2.15), (6.75, 1.95))
    drawing.arrow((4.1, 0.8), (6.6, 1.3))
    drawing.arrow((8.4, 1.5), (9.05, 1.5))
    drawing.arrow((10.15, 1.5), (10.7, 1.5))
    drawing.arrow((6.2, 2.5), (9.6, 1.85), bend=-0.25)
    drawing.arrow((4.1, 0.55), (9.6, 1.15), bend=0.25)
    drawing.label(8.3, 2.8, 'α · restored')
    drawing.label(8.3, 0.15, '(1 − α) · known')
    drawing.save(path)


def main():
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / 'docs/images')
    bases = ROOT / 'configs/_base_/models'
    stage1, stage2 = (Config.fromfile(bases / f'{name}.py').model for name in ('siamese_moco', 'cainet'))
    generator = MODELS.build(stage2.encdec).eval()
    draw_stages(folder / 'stages.png', stage1, stage2, generator)
    draw_fusion(folder / 'daf.png', generator.decoder.fusions[1], stage2.encdec.decoder.fusion.type)


if __name__ == '__main__':
    main()
