"""Photographs and masks as files: what is beside the pixels survives, and nothing is half written."""

import io
import os
import struct

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import ExifTags, Image, ImageCms, ImageOps, PngImagePlugin, TiffImagePlugin
from PIL.ExifTags import IFD

from cainet_mm.apis import inpaint, inpaint_files, pair_files
from cainet_mm.datasets import BadImageError, read_hole
from cainet_mm.inference.image_io import (
    image_of,
    photo_of,
    read_photo,
    without_thumbnail,
    write_image,
)

ORIENTATION = 0x0112
MODEL_TAG = 0x0110
# made once: the time of its making is in it
PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile('sRGB')).tobytes()


def noise(shape, dtype=np.uint8, seed=0):
    return np.random.default_rng(seed).integers(0, np.iinfo(dtype).max + 1, shape).astype(dtype)


def exif_with(orientation):
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    exif[MODEL_TAG] = 'A camera'
    return exif


def square(shape, top, left, height, width=None):
    hole = np.zeros(shape, bool)
    hole[top : top + height, left : left + (width or height)] = True
    return hole


@pytest.mark.parametrize('orientation', range(1, 9))
@pytest.mark.parametrize('ending', ['.png', '.jpg', '.tif', '.webp'])
class TestOrientation:
    def test_photograph_is_read_upright_and_put_back(self, tmp_path, orientation, ending):
        path = tmp_path / f'photo{ending}'
        lossless = dict(lossless=True) if ending == '.webp' else {}
        Image.fromarray(noise((14, 22, 3))).save(path, exif=exif_with(orientation), **lossless)
        photo = read_photo(path)
        with Image.open(path) as stored:
            np.testing.assert_array_equal(photo.pixels, np.asarray(ImageOps.exif_transpose(stored)))
        back = image_of(photo, photo.pixels, None)
        assert back.size == (22, 14)
        assert photo.orientation == orientation
        if ending != '.jpg':
            np.testing.assert_array_equal(np.asarray(back), noise((14, 22, 3)))

    def test_grey_photograph_too(self, tmp_path, orientation, ending):
        path = tmp_path / f'photo{ending}'
        Image.fromarray(square((14, 22), 2, 3, 4, 9)).convert('L').save(path, exif=exif_with(orientation), quality=100)
        upright = read_photo(path).pixels
        rows, columns = np.nonzero(upright[..., 0] > 127)
        assert upright.shape[:2] == ((14, 22) if orientation < 5 else (22, 14))
        assert sorted((np.ptp(rows) + 1, np.ptp(columns) + 1)) == [4, 9]

    def test_mask_is_for_what_one_sees_and_the_tags_stay(self, tmp_path, telea, orientation, ending):
        path = tmp_path / f'photo{ending}'
        Image.fromarray(noise((40, 56, 3))).save(path, exif=exif_with(orientation), icc_profile=PROFILE)
        with Image.open(path) as stored:
            seen = np.asarray(ImageOps.exif_transpose(stored))
        hole = square(seen.shape[:2], 4, 6, 9, 14)
        write_image(inpaint(path, hole, model=telea), tmp_path / 'out.png')
        with Image.open(tmp_path / 'out.png') as result:
            assert result.getexif().get(ORIENTATION, 1) == orientation
            assert result.getexif()[MODEL_TAG] == 'A camera'
            assert result.info['icc_profile'] == PROFILE
            shown = np.asarray(ImageOps.exif_transpose(result))
        np.testing.assert_array_equal(shown[~hole], seen[~hole])
        np.testing.assert_array_equal(shown, inpaint(seen, hole, model=telea))


@pytest.mark.parametrize('orientation', range(1, 9))
@pytest.mark.parametrize('ending', ['.png', '.jpg', '.tif', '.webp'])
class TestOpenedImages:
    """Pillow reads the pixels of an image that was opened when they are asked for, and turns those of a TIFF then."""

    @pytest.fixture
    def path(self, tmp_path, orientation, ending):
        path = tmp_path / f'photo{ending}'
        Image.fromarray(noise((40, 56, 3))).save(path, exif=exif_with(orientation))
        return path

    def test_they_are_filled_as_those_that_have_been_read(self, path, telea):
        opened, read = Image.open(path), Image.open(path)
        read.load()
        hole = square(np.asarray(ImageOps.exif_transpose(read)).shape[:2], 4, 6, 9, 14)
        one, other = inpaint(opened, hole, model=telea), inpaint(read, hole, model=telea)
        assert one.size == other.size == opened.size == read.size
        np.testing.assert_array_equal(np.asarray(one), np.asarray(other))
        # as they are shown
        upright = [np.asarray(ImageOps.exif_transpose(image)) for image in (one, Image.open(path))]
        np.testing.assert_array_equal(upright[0][~hole], upright[1][~hole])

    def test_masks_too(self, path, orientation):
        Image.fromarray(square((40, 56), 4, 6, 9, 14)).convert('L').save(path, exif=exif_with(orientation))
        opened, read = Image.open(path), Image.open(path)
        read.load()
        np.testing.assert_array_equal(read_hole(opened), read_hole(read))


class TestThumbnails:
    """EXIF data hold a small picture of the photograph, on which what was removed would still be seen."""

    def exif_with_thumbnail(self, order='<', first=False):
        """A camera, an orientation, and a JPEG, which lies before the directories on demand."""
        small = io.BytesIO()
        Image.fromarray(noise((12, 16, 3))).save(small, 'JPEG')
        small, camera = small.getvalue(), b'A camera\0'
        places = [8, 8 + 30 + 30, 8 + 30 + 30 + len(camera)]
        if first:
            places = [8 + len(small), 8 + len(small) + 60, 8]
        directory, name, picture = places
        pack = struct.pack
        mark = b'II*\0' if order == '<' else b'MM\0*'
        entries = pack(
            f'{order}HHHIIHHIHHI', 2, MODEL_TAG, 2, len(camera), name, ORIENTATION, 3, 1, 6, 0, directory + 30
        )
        below = pack(f'{order}HHHIIHHIII', 2, 0x0201, 4, 1, picture, 0x0202, 4, 1, len(small), 0)
        parts = [(directory, entries), (directory + 30, below), (name, camera), (picture, small)]
        content = bytearray(mark + pack(f'{order}I', directory))
        for place, part in sorted(parts):
            content[place:] = part
        return b'Exif\0\0' + bytes(content), small

    @pytest.mark.parametrize('ending', ['.jpg', '.png', '.webp'])
    @pytest.mark.parametrize('order', '<>')
    @pytest.mark.parametrize('first', [False, True])
    def test_they_go_and_all_else_stays(self, tmp_path, telea, ending, order, first):
        exif, small = self.exif_with_thumbnail(order, first)
        Image.fromarray(noise((40, 56, 3))).save(tmp_path / f'photo{ending}', exif=exif)
        with Image.open(tmp_path / f'photo{ending}') as before:
            assert before.getexif().get_ifd(IFD.IFD1)[0x0202] == len(small)
            expected = dict(before.getexif())
        write_image(inpaint(tmp_path / f'photo{ending}', square((56, 40), 4, 6, 9), model=telea), tmp_path / 'out.png')
        with Image.open(tmp_path / 'out.png') as after:
            assert dict(after.getexif()) == expected == {MODEL_TAG: 'A camera', ORIENTATION: 6}
            assert not after.getexif().get_ifd(IFD.IFD1)
            assert after.info['exif'] != exif
            # not even its bytes
            assert small[30:60] not in after.info['exif']

    def test_a_thumbnail_that_is_not_compressed_goes_too(self):
        small = bytes(range(1, 61))
        # two strips, whose places and lengths are lists
        below = struct.pack('<HHHIIHHIII', 2, 0x0111, 4, 2, 44, 0x0117, 3, 2, 20 | 40 << 16, 0)
        content = b'II*\0' + struct.pack('<IHI', 8, 0, 14) + below + struct.pack('<II', 52, 72) + small
        assert len(below) == 30 and content.index(small) == 52
        assert small not in without_thumbnail(content, 1)

    def test_data_without_one_come_back_byte_for_byte(self):
        exif = exif_with(6).tobytes()
        assert without_thumbnail(exif, 6) == exif

    @pytest.mark.filterwarnings('ignore')
    @given(st.binary(max_size=80), st.sampled_from([b'', b'Exif\0\0']), st.sampled_from([b'II*\0', b'MM\0*', b'']))
    def test_damaged_data_fail_nothing(self, content, prefix, mark):
        assert isinstance(without_thumbnail(prefix + mark + content, 1), bytes)

    @pytest.mark.filterwarnings('ignore')
    @given(st.integers(0, 200), st.sampled_from([0, 1, 255]))
    def test_a_damaged_byte_fails_nothing_and_spares_the_orientation(self, position, value):
        exif, _ = self.exif_with_thumbnail()
        damaged = bytearray(exif)
        # the photograph's own directory as it was
        if not 0 <= position < 6 + 8 + 30:
            damaged[position] = value
        read = Image.Exif()
        read.load(without_thumbnail(bytes(damaged), 6))
        assert read[ORIENTATION] == 6


XMP = b"""<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description xmlns:tiff="http://ns.adobe.com/tiff/1.0/" tiff:Orientation="6"/></rdf:RDF></x:xmpmeta>"""


def rewritten(source, out):
    """What is in a file that a photograph was read from and written to: size when upright, tags, exposure, place."""
    photo = read_photo(source)
    write_image(image_of(photo, photo.pixels, photo.alpha), out)
    with Image.open(source) as before, Image.open(out) as after:
        exif = after.getexif()
        found = dict(exif), dict(exif.get_ifd(ExifTags.IFD.Exif)), dict(exif.get_ifd(ExifTags.IFD.GPSInfo))
        upright = [np.asarray(ImageOps.exif_transpose(image)) for image in (before, after)]
        np.testing.assert_array_equal(*upright)
        return found


class TestEXIFOfOtherFiles:
    """What the EXIF data of one format are in another; ``rewritten`` compares the pixels, upright."""

    @pytest.mark.parametrize('source', ['in.png', 'in.tif', 'in.webp'])
    @pytest.mark.parametrize('out', ['out.png', 'out.tif', 'out.webp'])
    def test_exposure_and_place_are_kept(self, tmp_path, source, out):
        exif = exif_with(6)
        exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.ExposureTime] = 0.01
        exif.get_ifd(ExifTags.IFD.GPSInfo)[ExifTags.GPS.GPSLatitudeRef] = 'N'
        options = dict(lossless=True) if source == 'in.webp' else {}
        Image.fromarray(noise((12, 17, 3))).save(tmp_path / source, exif=exif.tobytes(), **options)
        tags, exposure, place = rewritten(tmp_path / source, tmp_path / out)
        assert tags[MODEL_TAG] == 'A camera'
        assert exposure == {ExifTags.Base.ExposureTime: 0.01} and place == {ExifTags.GPS.GPSLatitudeRef: 'N'}

    def test_sizes_in_them_are_not_taken_for_those_of_a_tiff(self, tmp_path):
        exif = exif_with(1)
        exif.update({0x100: 6000, 0x101: 4000, 0x102: (8, 8, 8), 0x103: 6, 0x106: 6, 0x115: 3})
        Image.fromarray(noise((12, 17, 3))).save(tmp_path / 'in.png', exif=exif)
        assert rewritten(tmp_path / 'in.png', tmp_path / 'out.tif')[0][0x100] == 17

    @pytest.mark.parametrize('source', ['in.jpg', 'in.webp'])
    def test_an_orientation_that_stands_in_xmp_alone(self, tmp_path, source):
        Image.fromarray(noise((12, 17, 3))).save(tmp_path / source, xmp=XMP)
        assert rewritten(tmp_path / source, tmp_path / 'out.png')[0] == {ORIENTATION: 6}

    def test_those_in_a_text_chunk_of_a_png(self, tmp_path):
        text, exif = PngImagePlugin.PngInfo(), exif_with(6).tobytes()
        text.add_text('Raw profile type exif', f'\nexif\n{len(exif):8}\n{exif.hex()}')
        Image.fromarray(noise((12, 17, 3))).save(tmp_path / 'in.png', pnginfo=text)
        assert rewritten(tmp_path / 'in.png', tmp_path / 'out.png')[0] == dict(exif_with(6))

    def test_a_resolution_of_nothing_by_nothing(self, tmp_path):
        nothing = TiffImagePlugin.IFDRational(0, 0)
        Image.fromarray(noise((12, 17, 3))).save(tmp_path / 'in.tif', tiffinfo={282: nothing, 283: nothing})
        for out in ('out.png', 'out.tif'):
            rewritten(tmp_path / 'in.tif', tmp_path / out)

    def test_colours_of_12_bits_are_said_to_be_reduced(self, tmp_path):
        (tmp_path / 'in.ppm').write_bytes(b'P6 4 3 4095\n' + np.arange(36, dtype='>u2').tobytes())
        assert 'of which 8 are read' in read_photo(tmp_path / 'in.ppm').notes[0]


class TestWriting:
    @pytest.mark.parametrize('ending', ['.png', '.tif', '.TIFF', '.webp', '.bmp'])
    @pytest.mark.parametrize('mode', ['L', 'LA', 'RGB', 'RGBA', 'I;16'])
    def test_every_pixel_is_kept_or_the_file_refused(self, tmp_path, ending, mode):
        pixels = noise((12, 17, 4))
        image = Image.fromarray(noise((12, 17), np.uint16) if mode == 'I;16' else pixels)
        image = image if mode == 'I;16' else image.convert(mode)
        path = tmp_path / f'out{ending}'
        try:
            write_image(image, path)
        except BadImageError as error:
            assert f'mode {mode}' in str(error) and '.png' in str(error)
            assert (ending, mode) not in [('.png', mode), ('.tif', mode), ('.TIFF', mode), (ending, 'RGB')]
            assert not path.exists()
            return
        with Image.open(path) as read:
            assert read.mode == mode
            np.testing.assert_array_equal(np.asarray(read), np.asarray(image))

    @pytest.mark.parametrize('ending', ['.png', '.tif', '.webp', '.jpg'])
    def test_tags_and_profile_are_written(self, tmp_path, ending):
        image = Image.fromarray(noise((12, 17, 3)))
        image.info.update(exif=exif_with(6).tobytes(), icc_profile=PROFILE)
        write_image(image, tmp_path / f'out{ending}')
        with Image.open(tmp_path / f'out{ending}') as read:
            assert read.getexif()[ORIENTATION] == 6
            assert read.info['icc_profile'] == PROFILE

    def test_what_would_lose_the_profile_is_refused(self, tmp_path):
        image = Image.fromarray(noise((12, 17, 3)))
        image.info.update(icc_profile=PROFILE)
        with pytest.raises(BadImageError, match='cannot hold its colour profile'):
            write_image(image, tmp_path / 'out.bmp')

    def test_unknown_ending_is_refused(self, tmp_path):
        with pytest.raises(BadImageError, match=r'written as \.png'):
            write_image(Image.fromarray(noise((12, 17, 3))), tmp_path / 'out.xyz')

    def test_interrupted_writing_leaves_what_was_there(self, tmp_path, monkeypatch):
        (tmp_path / 'out.png').write_bytes(b'before')

        def fail(self, target):
            raise KeyboardInterrupt

        monkeypatch.setattr('pathlib.Path.replace', fail)
        with pytest.raises(KeyboardInterrupt):
            write_image(Image.fromarray(noise((12, 17, 3))), tmp_path / 'out.png')
        assert os.listdir(tmp_path) == ['out.png']
        assert (tmp_path / 'out.png').read_bytes() == b'before'


class TestReading:
    @pytest.mark.parametrize('ending', ['.png', '.tif', '.ppm'])
    def test_of_16_bit_colours_8_are_kept_and_that_is_said(self, tmp_path, telea, ending):
        pixels, hole = noise((30, 40, 3), np.uint16), square((30, 40), 9, 9, 9)
        path = tmp_path / f'deep{ending}'
        cv2.imwrite(str(path), pixels[..., ::-1])
        (outcome,) = inpaint_files(pair_files(path, self.save(hole, tmp_path), tmp_path / 'out.png')[0], telea)
        assert outcome.problem is None
        assert f'{path} has 16 bits for each colour, of which 8 are read: its result has 8.' in outcome.notes[0]
        result = np.asarray(Image.open(tmp_path / 'out.png')).astype(int)
        assert np.abs(result - pixels / 257.0)[~hole].max() <= 1

    @pytest.mark.parametrize('profile', [None, b'no profile'])
    def test_cmyk_becomes_rgb_and_that_is_said(self, tmp_path, telea, profile):
        path, hole = tmp_path / 'print.jpg', square((30, 40), 9, 9, 9)
        image = Image.fromarray(np.full((30, 40, 3), (200, 40, 90), np.uint8)).convert('CMYK')
        image.save(path, quality=100, icc_profile=profile)
        with pytest.warns(UserWarning, match=rf'{path} is CMYK: its result is RGB, converted without a colour profile'):
            result = inpaint(path, hole, model=telea)
        assert result.mode == 'RGB' and 'icc_profile' not in result.info
        assert np.abs(np.asarray(result).astype(int) - (200, 40, 90)).max() <= 4
        opened = Image.open(path)
        np.testing.assert_array_equal(photo_of(opened).pixels[~hole], np.asarray(result)[~hole])

    @pytest.mark.parametrize('ending', ['.png', '.tif', '.bmp'])
    def test_1_bit_becomes_grey(self, tmp_path, telea, ending):
        pixels, hole = noise((30, 40)) > 127, square((30, 40), 9, 9, 9)
        Image.fromarray(pixels).save(tmp_path / f'line{ending}')
        tasks = pair_files(tmp_path / f'line{ending}', self.save(hole, tmp_path), tmp_path / f'out{ending}')[0]
        (outcome,) = inpaint_files(tasks, telea)
        assert outcome.problem is None and '1 bit for each pixel: its result is grey' in outcome.notes[0]
        result = Image.open(tmp_path / f'out{ending}')
        assert result.mode == 'L'
        np.testing.assert_array_equal(np.asarray(result)[~hole], np.where(pixels, 255, 0)[~hole])

    def test_1_bit_with_a_transparent_value(self, tmp_path):
        pixels = noise((12, 17)) > 127
        Image.fromarray(pixels).save(tmp_path / 'line.png', transparency=255)
        photo = photo_of(Image.open(tmp_path / 'line.png'))
        np.testing.assert_array_equal(photo.alpha > 0, ~pixels)

    def save(self, hole, folder):
        Image.fromarray(hole).save(folder / 'mask.png')
        return folder / 'mask.png'

    @pytest.mark.parametrize('ending', ['.png', '.tif'])
    def test_16_bit_grey_is_kept(self, tmp_path, telea, ending):
        grey, hole = noise((30, 40), np.uint16), square((30, 40), 9, 9, 9)
        cv2.imwrite(str(tmp_path / f'grey{ending}'), grey)
        filled = inpaint(tmp_path / f'grey{ending}', hole, model=telea)
        write_image(filled, tmp_path / f'out{ending}')
        read = cv2.imread(str(tmp_path / f'out{ending}'), cv2.IMREAD_UNCHANGED)
        assert read.dtype == np.uint16
        np.testing.assert_array_equal(read[~hole], grey[~hole])

    @pytest.mark.parametrize('transparent', [None, 3])
    def test_palettes_become_colours(self, transparent):
        image = Image.fromarray(noise((12, 17, 3))).quantize(16)
        if transparent is not None:
            image.info['transparency'] = transparent
        photo = photo_of(image)
        np.testing.assert_array_equal(photo.pixels, np.asarray(image.convert('RGB')))
        expected = None if transparent is None else np.where(np.asarray(image) == transparent, 0, 255)
        np.testing.assert_array_equal(photo.alpha, expected)

    @pytest.mark.parametrize('mask', [None, square((20, 30), 5, 7, 6)])
    def test_16_bit_grey_with_a_transparent_value_is_refused(self, tmp_path, telea, mask):
        path = tmp_path / 'grey.png'
        Image.fromarray(noise((20, 30), np.uint16)).save(path, transparency=777)
        with pytest.raises(BadImageError, match=rf'{path} has 16 bits and one value that stands for transparent'):
            inpaint(path, mask, model=telea)

    def test_an_opened_image_that_cannot_be_read_gets_a_sentence(self, tmp_path, telea):
        Image.fromarray(noise((90, 90, 3))).save(tmp_path / 'whole.png')
        (tmp_path / 'cut.png').write_bytes((tmp_path / 'whole.png').read_bytes()[:9000])
        hole = square((90, 90), 5, 7, 6)
        with pytest.raises(BadImageError, match='The photograph cannot be read'):
            inpaint(Image.open(tmp_path / 'cut.png'), hole, model=telea)
        with pytest.raises(BadImageError, match='The mask cannot be read'):
            inpaint(Image.open(tmp_path / 'whole.png'), Image.open(tmp_path / 'cut.png'), model=telea)

    def test_frames_are_refused(self, tmp_path):
        frames = [Image.fromarray(noise((12, 17, 3), seed=seed)) for seed in range(2)]
        frames[0].save(tmp_path / 'two.tif', save_all=True, append_images=frames[1:])
        with pytest.raises(BadImageError, match='2 frames'):
            read_photo(tmp_path / 'two.tif')

    @pytest.mark.parametrize('content', [b'', b'no image', None])
    def test_what_cannot_be_read_is_named(self, tmp_path, content):
        path = tmp_path / 'broken.png'
        if content is None:
            whole = io.BytesIO()
            Image.fromarray(noise((90, 90, 3))).save(whole, 'PNG')
            content = whole.getvalue()[:9000]
        path.write_bytes(content)
        with pytest.raises(BadImageError, match=rf'The photograph {path} cannot be read'):
            read_photo(path)
        with pytest.raises(BadImageError, match=rf'The mask {path} cannot be read'):
            read_hole(path)


class TestMasks:
    def masks(self):
        hole = square((20, 30), 5, 7, 6)
        bright = np.where(hole, 200, 90).astype(np.uint8)
        yield 'bilevel', Image.fromarray(hole), hole
        yield 'grey', Image.fromarray(bright), hole
        yield 'zeros and ones', Image.fromarray(hole.astype(np.uint8)), hole
        yield '16 bits', Image.fromarray(np.where(hole, 60000, 30000).astype(np.uint16)), hole
        yield 'colour', Image.fromarray(np.stack([bright] * 3, axis=2)), hole
        white = np.full((20, 30), 255, np.uint8)
        yield 'white on transparent', Image.fromarray(np.stack([white] * 3 + [np.where(hole, white, 0)], axis=2)), hole
        yield 'palette', Image.fromarray(np.stack([bright] * 3, axis=2)).quantize(4), hole

    def test_bright_pixels_are_the_hole(self, tmp_path):
        for name, image, hole in self.masks():
            image.save(tmp_path / 'mask.png')
            np.testing.assert_array_equal(read_hole(tmp_path / 'mask.png'), hole, err_msg=name)


class TestFolders:
    @pytest.fixture
    def folders(self, tmp_path):
        photos, masks = tmp_path / 'photos', tmp_path / 'masks'
        for folder in (photos / 'below', masks / 'below'):
            folder.mkdir(parents=True)
        for name in ('a.png', 'b.jpg', 'below/c.png', 'same.png', 'same.jpg'):
            Image.fromarray(noise((20, 30, 3), seed=len(name))).save(photos / name)
            Image.fromarray(square((20, 30), 5, 7, 6)).save((masks / name).with_suffix('.png'))
        return photos, masks, tmp_path / 'out'

    def test_masks_go_by_name_and_results_have_names_of_their_own(self, folders):
        photos, masks, out = folders
        Image.new('L', (3, 3)).save(masks / 'nobody.png')
        for folder in (photos, masks, out):
            folder.mkdir(exist_ok=True)
            (folder / 'moving.gif').write_bytes(b'')
            (folder / '.hidden').write_bytes(b'')
        tasks, unused, others = pair_files(photos, masks, out)
        found = {
            str(task.photo.relative_to(photos)): (task.mask.name, str(task.out.relative_to(out))) for task in tasks
        }
        assert found == {
            'a.png': ('a.png', 'a.png'),
            'b.jpg': ('b.png', 'b.png'),
            os.path.join('below', 'c.png'): ('c.png', os.path.join('below', 'c.png')),
            'same.jpg': ('same.png', 'same.jpg.png'),
            'same.png': ('same.png', 'same.png'),
        }
        assert unused == [masks / 'nobody.png']
        assert others == [photos / 'moving.gif']

    def test_a_photograph_without_a_mask_or_with_several_has_a_problem(self, folders):
        photos, masks, out = folders
        (masks / 'a.png').rename(masks / 'a.bmp')
        (masks / 'b.png').rename(masks / 'b.tif')
        Image.new('L', (3, 3)).save(masks / 'b.bmp')
        (masks / 'below/c.png').unlink()
        problems = {task.photo.name: task.problem for task in pair_files(photos, masks, out)[0]}
        assert [name for name, problem in problems.items() if problem] == ['b.jpg', 'c.png']
        assert 'several masks' in problems['b.jpg']
        assert 'no mask' in problems['c.png']

    def test_results_in_the_photographs_folder_are_no_photographs(self, folders):
        photos, masks, _ = folders
        before = pair_files(photos, masks, photos / 'out')
        for task in before[0]:
            task.out.parent.mkdir(parents=True, exist_ok=True)
            task.out.write_bytes(b'')
        assert pair_files(photos, masks, photos / 'out') == before

    def test_nothing_is_written_over_what_is_read(self, folders):
        photos, masks, _ = folders
        for arguments in ((photos, masks, photos), (photos / 'a.png', masks / 'a.png', masks / 'a.png')):
            with pytest.raises(ValueError, match='written over|folders of their own'):
                pair_files(*arguments)

    def test_outcomes_are_those_of_every_photograph_in_order(self, folders, telea):
        photos, masks, out = folders
        (photos / 'a.png').write_bytes(b'no image')
        Image.new('L', (9, 9)).save(masks / 'same.png')
        tasks, _, _ = pair_files(photos, masks, out)
        outcomes = list(inpaint_files(tasks, telea, batch_size=3))
        assert [outcome.task for outcome in outcomes] == tasks
        assert [outcome.problem is None for outcome in outcomes] == [False, True, True, False, False]
        written = sorted(str(path.relative_to(out)) for path in out.rglob('*') if path.is_file())
        assert written == ['b.png', os.path.join('below', 'c.png')]

    def test_a_network_that_fails_on_one_photograph_fills_the_others(self, folders, telea, monkeypatch):
        photos, masks, out = folders
        Image.fromarray(np.zeros((20, 30, 3), np.uint8)).save(photos / 'a.png')
        step = telea.test_step

        def fail(data):
            if any(bool((image == 0).any(0).sum() > 300) for image in data['inputs']):
                raise RuntimeError('out of memory')
            return step(data)

        monkeypatch.setattr(telea, 'test_step', fail)
        tasks, _, _ = pair_files(photos, masks, out)
        outcomes = list(inpaint_files(tasks, telea))
        assert [outcome.problem is None for outcome in outcomes] == [False, True, True, True, True]
        assert outcomes[0].problem == f'The photograph {photos / "a.png"} was not filled: out of memory'
