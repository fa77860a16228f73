"""LiDAR sweeps, sounds and medical images as pictures; what is broken or empty is told."""

import io
import wave
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from vlmine_dagster.domain.errors import PictureError, SourceError
from vlmine_dagster.domain.tables import Outcome
from vlmine_dagster.resources.datasets.audio import PLUGIN as AUDIO_FILES
from vlmine_dagster.resources.datasets.audio import AudioFilesSettings
from vlmine_dagster.resources.media.audio import Audio, AudioSettings, mel_power, wave_bytes
from vlmine_dagster.resources.media.bands import Bands, BandsSettings
from vlmine_dagster.resources.media.dicom import Dicom, DicomSettings
from vlmine_dagster.resources.media.lidar import Lidar, LidarSettings
from vlmine_dagster.resources.sounds import sound_format
from vlmine_dagster.resources.sources.fingerprints import FingerprintCache
from vlmine_dagster.resources.sources.place import Place

CLOUD = np.array([[10.0, 0, 1, 0.5], [0, 5, -1, 1.0], [100, 0, 0, 1.0]], np.float32)


def pixels(data: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(data)))


def lidar(**settings) -> Lidar:
    return Lidar(LidarSettings(kind="lidar", **{"view": "above", "reach_m": 20, "pixel_m": 1, **settings}))


def saved(save, *arguments) -> bytes:
    stream = io.BytesIO()
    save(stream, *arguments)
    return stream.getvalue()


def las() -> bytes:
    import laspy

    cloud = laspy.create(point_format=3, file_version="1.4")
    cloud.header.scales = [0.01] * 3
    cloud.x, cloud.y, cloud.z = CLOUD[:2, 0], CLOUD[:2, 1], CLOUD[:2, 2]
    cloud.intensity = (CLOUD[:2, 3] * 65535).astype(np.uint16)
    return saved(cloud.write)


def pcd() -> bytes:
    from pypcd4 import PointCloud

    return saved(PointCloud.from_xyzi_points(CLOUD).save)


@pytest.mark.parametrize("item", [CLOUD.tobytes(), saved(np.save, CLOUD), pcd()], ids=["bin", "npy", "pcd"])
def test_a_point_lies_where_it_is_seen_from_above(item):
    image = pixels(lidar().picture(item))
    assert image.shape == (40, 40, 3)
    # 10 m ahead: ten rows above the middle; 5 m to the left: five columns left of it. Higher is redder.
    ahead, left = image[10 - 1 + 1, 20], image[20, 15]
    assert (image.sum(axis=2) > 0).sum() == 2  # the third is beyond reach
    assert ahead[0] > left[0] > 0 and left[1] > ahead[1] > 0


def test_surveys_are_seen_around_their_middle():
    image = pixels(lidar().picture(las()))
    assert (image.sum(axis=2) > 0).sum() == 2


def pcd_of(data: bytes, *, fields: str, sizes: str, types: str, counts: str, rows: int, comment: str = "") -> bytes:
    head = (
        f"{comment}VERSION 0.7\nFIELDS {fields}\nSIZE {sizes}\nTYPE {types}\nCOUNT {counts}\nWIDTH {rows}\nHEIGHT 1\n"
    )
    return f"{head}VIEWPOINT 0 0 0 1 0 0 0\nPOINTS {rows}\nDATA binary\n".encode() + data


def test_points_are_read_whatever_their_light_is_called_and_counted_in():
    near = CLOUD[:2]
    wanted = pixels(lidar().picture(near.tobytes()))
    plain = {"sizes": "4 4 4 4", "types": "F F F F", "counts": "1 1 1 1", "rows": 2}
    items = [
        pcd_of(near.tobytes(), fields="x y z i", comment=f"# {'long ' * 200}\n", **plain),
        pcd_of((near * [1, 1, 1, 255]).astype("<f4").tobytes(), fields="x y z reflectivity", **plain),
        pcd_of((near * [1, 1, 1, 65535]).astype("<f4").tobytes(), fields="x y z intensity", **plain),
        saved(np.save, np.repeat(near, 20, axis=0).T),  # a row per field
        saved(np.save, np.array([tuple(point) for point in near], [(name, "<f4") for name in ("x", "y", "z", "i")])),
    ]
    shown = [pixels(lidar().picture(item)) for item in items]
    for number, image in enumerate(shown):
        assert (image[..., :2] == wanted[..., :2]).all(), number  # the third counts points
    padded = np.zeros(2, [("xyz", "<f4", 3), ("_", "u1", 4), ("intensity", "<f4"), ("ring", "<u2"), ("_2", "u1", 10)])
    padded["xyz"], padded["intensity"] = near[:, :3], near[:, 3]
    ros = pcd_of(
        padded.tobytes(), fields="x y z _ intensity ring _", sizes="4 4 4 1 4 2 1", types="F F F U F U U",
        counts="1 1 1 4 1 1 10", rows=2,
    )  # fmt: skip
    assert (pixels(lidar().picture(ros)) == wanted).all()


def test_rings_of_nuscenes_are_no_coordinates():
    rings = np.column_stack([np.repeat(CLOUD[:2], 2, axis=0), [0, 1, 2, 31]]).astype("<f4").tobytes()
    assert len(rings) % 16 == 0
    twice = np.repeat(CLOUD[:2], 2, axis=0).tobytes()
    assert (pixels(lidar().picture(rings)) == pixels(lidar().picture(twice))).all()


def test_heights_of_a_survey_are_those_above_its_middle():
    import laspy

    cloud = laspy.create(point_format=7, file_version="1.4")
    cloud.header.scales, cloud.header.offsets = [0.01] * 3, [500_000, 5_400_000, 0]
    cloud.x, cloud.y, cloud.z = (
        np.array([500_000.0, 500_004, 500_008]), np.array([5.4e6] * 3), np.array([248.0, 250, 252])
    )  # fmt: skip
    cloud.intensity = np.array([40, 80, 160], np.uint16)  # 8 bits in a field of 16
    image = pixels(lidar(heights_m=(-4, 4)).picture(saved(cloud.write)))
    seen = image[image[..., 2] > 0]
    assert sorted(seen[:, 0].tolist()) == [63, 127, 191] and sorted(seen[:, 1].tolist()) == [40, 80, 160]


def test_both_views_stand_one_over_the_other_at_one_scale():
    near = CLOUD[:2]
    both = pixels(lidar(view="both").picture(near.tobytes()))
    assert both.shape == (40 + 64, 40, 3) and both[40:].any()
    five = np.column_stack([near, [0, 0]]).astype(np.float32)
    again = pixels(lidar(view="both", columns=5).picture(five.tobytes()))
    assert (again == both).all()


@pytest.mark.parametrize(
    ("item", "message"),
    [
        (b"12345", "no readable points"),
        (np.full((3, 4), np.nan, np.float32).tobytes(), "the sweep has no points"),
        (saved(np.save, np.zeros(3)), "an array of shape"),
        (b"LASF" + b"x" * 50, "no readable points"),
    ],
)
def test_sweeps_that_cannot_be_read_say_why(item, message):
    with pytest.raises(PictureError, match=message):
        lidar().picture(item)
    assert lidar().facts(item, max_pixels=10**8).outcome == Outcome.CORRUPT


def tone(hertz: float, seconds: float, rate: int = 16_000) -> np.ndarray:
    return 0.5 * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)


@pytest.mark.parametrize("hertz", [300, 1000, 4000])
def test_a_tone_is_loudest_in_its_own_band(hertz):
    power = mel_power(tone(hertz, 0.5), 16_000, 64)
    mel = 2595 * np.log10(1 + hertz / 700) / (2595 * np.log10(1 + 8000 / 700))
    assert abs(power.sum(axis=1).argmax() - (mel * 65 - 1)) <= 1
    assert power.shape == (64, 48)  # (8000 - 400) // 160 + 1 frames


@pytest.mark.parametrize("form", ["WAV", "FLAC", "OGG", "MP3"])
def test_sounds_of_every_format_are_seen_and_played(form):
    import soundfile

    stream = io.BytesIO()
    soundfile.write(stream, np.column_stack([tone(1000, 1, 22_050)] * 2), 22_050, format=form)
    audio = Audio(AudioSettings(kind="audio"))
    image = pixels(audio.picture(stream.getvalue()))
    assert image.shape[0] == 64 * 3 and 90 < image.shape[1] < 105
    with wave.open(io.BytesIO(audio.recording(stream.getvalue()))) as played:
        assert (played.getframerate(), played.getnchannels()) == (16_000, 1)
        assert played.getnframes() == pytest.approx(16_000, rel=0.08)
    assert audio.request(stream.getvalue()) == audio.picture(stream.getvalue())
    assert sound_format(Audio(AudioSettings(kind="audio", send="sound")).request(stream.getvalue())) == "wav"


def test_sounds_that_cannot_be_read_or_are_silent_from_the_start_say_why():
    audio = Audio(AudioSettings(kind="audio"))
    assert audio.facts(b"", max_pixels=10**8).outcome == Outcome.EMPTY
    assert "has no samples" in audio.facts(wave_bytes(np.empty(0), 16_000), max_pixels=10**8).failure
    assert "no readable sound" in audio.facts(b"RIFF....WAVEnothing", max_pixels=10**8).failure


def test_init_cuts_long_recordings_and_takes_short_sounds_whole(tmp_path):
    from vlmine_dagster.resources.sources.detection import survey

    (tmp_path / "short.wav").write_bytes(wave_bytes(tone(500, 3), 16_000))
    (tmp_path / "broken.wav").write_bytes(b"no sound")
    whole = survey(str(tmp_path)).settings
    assert (whole.kind, whole.medium.kind) == ("folder", "audio")
    (tmp_path / "long.wav").write_bytes(wave_bytes(tone(500, 31), 16_000))
    cut = survey(str(tmp_path))
    assert (cut.settings.kind, cut.settings.shard_count, cut.contents) == ("audio", 1, "files: 3 .wav")


def test_a_sound_that_breaks_off_keeps_its_windows_and_says_where_it_fails(tmp_path):
    import soundfile

    stream = io.BytesIO()
    soundfile.write(stream, np.random.default_rng(0).normal(0, 0.1, 48_000), 16_000, format="FLAC")
    (tmp_path / "cut.flac").write_bytes(stream.getvalue()[:-20_000])
    whole = Audio(AudioSettings(kind="audio")).facts(stream.getvalue()[:-20_000], max_pixels=10**8)
    assert (whole.outcome, "the sound is damaged" in whole.failure) == (Outcome.CORRUPT, True)
    found = {raw.key: raw.failure for raw in sounds(tmp_path, window_s=0.5).read("shard-000")}
    assert found["cut.flac@0.000s"] is None and "the sound is damaged" in found["cut.flac"]
    text = Audio(AudioSettings(kind="audio")).facts(b"404", max_pixels=10**8).failure
    assert text == "no readable sound: Format not recognised."  # no address in memory


def test_samples_that_are_no_numbers_are_silence(tmp_path):
    import soundfile

    samples = tone(1000, 0.5).astype(np.float32)
    gaps = np.where(np.arange(len(samples)) % 100 == 0, np.nan, samples)
    audio = Audio(AudioSettings(kind="audio"))
    for values, wanted in ((gaps, None), (samples * np.nan, "the samples of the sound are not numbers")):
        stream = io.BytesIO()
        soundfile.write(stream, values, 16_000, format="WAV", subtype="FLOAT")
        assert audio.facts(stream.getvalue(), max_pixels=10**8).failure == wanted
        if wanted is None:
            assert pixels(audio.picture(stream.getvalue())).std() > 20


def sounds(folder, **settings):
    chosen = AudioFilesSettings(kind="audio", root=str(folder), shard_count=1, **settings)
    return AUDIO_FILES.make(Place(chosen, FingerprintCache()), chosen)


def test_long_sounds_are_cut_into_windows_with_their_times(tmp_path):
    (tmp_path / "a.wav").write_bytes(wave_bytes(tone(500, 2.8), 16_000))
    (tmp_path / "b.wav").write_bytes(wave_bytes(tone(500, 2.2), 16_000))
    (tmp_path / "empty.wav").write_bytes(b"")
    (tmp_path / "mute.wav").write_bytes(wave_bytes(np.empty(0), 16_000))
    (tmp_path / "text.wav").write_bytes(b"no sound")
    source = sounds(tmp_path, window_s=1)
    found = {raw.key: raw for raw in source.read("shard-000")}
    windows = [key for key in found if "@" in key]
    # 0.8 s are more than half a window, 0.2 s are not.
    assert windows == [f"{name}.wav@{start}.000s" for name, count in (("a", 3), ("b", 2)) for start in range(count)]
    second = found["a.wav@1.000s"]
    assert (second.moment.sequence, second.moment.frame, second.moment.time_s) == ("a.wav", 1, 1.0)
    assert sound_format(second.data) == "wav"
    assert found["empty.wav"].data == b"" and found["empty.wav"].failure is None
    assert found["mute.wav"].failure == "the sound has no samples"
    assert "no readable sound" in found["text.wav"].failure
    wanted = ["b.wav@1.000s", "text.wav"]
    assert [raw.key for raw in source.read("shard-000", keys=wanted)] == wanted
    assert source.shards() == ["shard-000"] and source.fingerprint("shard-000")
    (tmp_path / "nowhere").mkdir()
    with pytest.raises(SourceError, match="no sound below"):
        sounds(tmp_path / "nowhere").shards()


def dicom(values: np.ndarray, *, has_pixels=True, **more) -> bytes:
    from pydicom.dataset import FileDataset, FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage, generate_uid

    meta = FileMetaDataset()
    meta.TransferSyntaxUID, meta.MediaStorageSOPClassUID = ExplicitVRLittleEndian, SecondaryCaptureImageStorage
    meta.MediaStorageSOPInstanceUID = generate_uid()
    data = FileDataset(None, {}, file_meta=meta, preamble=b"\0" * 128)
    shape = values.shape if len(values.shape) == 2 else values.shape[1:]
    data.Rows, data.Columns, data.SamplesPerPixel = shape[0], shape[1], 1
    data.BitsAllocated = data.BitsStored = 16
    data.HighBit, data.PixelRepresentation = 15, 1
    data.PhotometricInterpretation = "MONOCHROME2"
    for name, value in more.items():
        setattr(data, name, value)
    if has_pixels:
        data.PixelData = values.astype("<i2").tobytes()
    return saved(lambda stream: data.save_as(stream, enforce_file_format=True))


def test_a_medical_image_is_seen_through_its_window():
    values = np.array([[-1000, -160, 40], [140, 240, 3000]])
    shown = pixels(Dicom(DicomSettings(kind="dicom", window=(40, 400))).picture(dicom(values)))[..., 0]
    assert shown.tolist() == [[0, 0, 127], [191, 255, 255]]
    own = Dicom(DicomSettings(kind="dicom"))
    assert (pixels(own.picture(dicom(values, WindowCenter=40, WindowWidth=400)))[..., 0] == shown).all()
    inverted = dicom(values, WindowCenter=40, WindowWidth=400, PhotometricInterpretation="MONOCHROME1")
    assert pixels(own.picture(inverted))[0, 0, 0] == 255
    rescaled = dicom(values + 1000, WindowCenter=40, WindowWidth=400, RescaleIntercept=-1000, RescaleSlope=1)
    assert (pixels(own.picture(rescaled))[..., 0] == shown).all()
    frames = dicom(np.stack([values * 0, values, values * 0]), NumberOfFrames=3, WindowCenter=40, WindowWidth=400)
    assert (pixels(own.picture(frames))[..., 0] == shown).all()


def test_medical_files_without_pixels_or_of_another_kind_say_why():
    own = Dicom(DicomSettings(kind="dicom"))
    assert (
        own.facts(dicom(np.zeros((2, 2)), has_pixels=False), max_pixels=10**8).failure == "the DICOM file has no pixels"
    )
    assert "no readable DICOM file" in own.facts(b"no", max_pixels=10**8).failure
    cut = dicom(np.zeros((20, 20)))[:-100]
    assert own.facts(cut, max_pixels=10**8).outcome == Outcome.CORRUPT


@pytest.mark.parametrize("codec", ["jpegls", "jpegsof3", "jpeg2k", "jpeg8"])
def test_medical_images_are_read_as_archives_compress_them(codec):
    import imagecodecs
    from pydicom import dcmread, uid
    from pydicom.encaps import encapsulate

    values = np.linspace(0, 4095, 64 * 32).reshape(32, 64).astype(np.uint16)
    syntax, options = {
        "jpegls": (uid.JPEGLSLossless, {}),
        "jpegsof3": (uid.JPEGLosslessSV1, {"lossless": True, "bitspersample": 16}),
        "jpeg2k": (uid.JPEG2000Lossless, {"level": 0, "codecformat": "j2k"}),
        "jpeg8": (uid.JPEGExtended12Bit, {"level": 100, "bitspersample": 12}),
    }[codec]
    encode = getattr(imagecodecs, f"{'jpeg8' if codec == 'jpegsof3' else codec}_encode")
    plain = dicom(values.astype(np.int16), PixelRepresentation=0, BitsStored=12, HighBit=11, **WINDOW_12)
    packed = dcmread(io.BytesIO(plain))
    packed.PixelData = encapsulate([encode(values, **options)])
    packed["PixelData"].VR = "OB"
    packed.file_meta.TransferSyntaxUID = syntax
    item = saved(lambda stream: packed.save_as(stream, enforce_file_format=True))
    own = Dicom(DicomSettings(kind="dicom"))
    shown, wanted = pixels(own.picture(item)).astype(int), pixels(own.picture(plain)).astype(int)
    assert np.abs(shown - wanted).max() <= (2 if codec == "jpeg8" else 0)


WINDOW_12 = {"WindowCenter": 2048, "WindowWidth": 4096}
RED_GREEN = np.array([[[255, 0, 0], [0, 255, 0]]], np.uint8)


def colour_dicom(values: np.ndarray, photometric: str, **more) -> bytes:
    """A file of colours; `values` has the shape (rows, columns, 3)."""
    from pydicom import dcmread

    bits = 8 * values.itemsize
    rows, columns, samples = values.shape
    form = {"Rows": rows, "Columns": columns, "SamplesPerPixel": samples, "PlanarConfiguration": 0}
    depth = {"BitsAllocated": bits, "BitsStored": bits, "HighBit": bits - 1, "PixelRepresentation": 0}
    given = dicom(np.zeros((rows, columns)), PhotometricInterpretation=photometric, **form, **depth, **more)
    data = dcmread(io.BytesIO(given))
    data.PixelData = values.tobytes()
    data["PixelData"].VR = "OB" if bits == 8 else "OW"
    return saved(lambda stream: data.save_as(stream, enforce_file_format=True))


def test_colours_of_ultrasound_are_those_of_the_file():
    own = Dicom(DicomSettings(kind="dicom"))
    luma = np.array([[[76, 85, 255], [150, 44, 21]]], np.uint8)  # red and green, by ITU-R BT.601
    shown = pixels(own.picture(colour_dicom(luma, "YBR_FULL"))).astype(int)
    assert np.abs(shown - RED_GREEN).max() <= 2
    deep = RED_GREEN.astype(np.uint16) * 128  # half of 16 bits
    assert pixels(own.picture(colour_dicom(deep, "RGB"))).tolist() == [[[127, 0, 0], [0, 127, 0]]]


def test_numbers_of_a_palette_are_seen_as_its_colours():
    palette = {}
    for name, table in {"Red": [0, 0, 255], "Green": [0, 255, 0], "Blue": [0, 0, 0]}.items():
        palette[f"{name}PaletteColorLookupTableDescriptor"] = [3, 0, 16]
        palette[f"{name}PaletteColorLookupTableData"] = (np.array(table, "<u2") * 257).tobytes()
    item = dicom(np.array([[2, 1]]), PhotometricInterpretation="PALETTE COLOR", PixelRepresentation=0, **palette)
    assert pixels(Dicom(DicomSettings(kind="dicom")).picture(item)).tolist() == RED_GREEN.tolist()


def test_a_file_without_preamble_is_read_and_a_text_is_not():
    from pydicom import dcmread
    from pydicom.dataset import FileMetaDataset

    own, bare = Dicom(DicomSettings(kind="dicom")), io.BytesIO()
    item = dicom(np.arange(6).reshape(2, 3), SOPClassUID="1.2.840.10008.5.1.4.1.1.7")
    data = dcmread(io.BytesIO(item))
    data.file_meta, data.preamble = FileMetaDataset(), None
    data.save_as(bare, implicit_vr=True, little_endian=True, enforce_file_format=False)
    assert own.picture(bare.getvalue()) == own.picture(item)
    assert "no readable DICOM file" in own.facts(b"Patient's notes, " * 20, max_pixels=10**8).failure


def test_each_frame_of_an_enhanced_file_has_its_own_window_and_scale():
    from pydicom.dataset import Dataset

    def group(**more):
        found = Dataset()
        for name, value in more.items():
            setattr(found, name, value)
        return found

    scale = group(PixelValueTransformationSequence=[group(RescaleSlope=1, RescaleIntercept=-1000)])
    windows = [group(FrameVOILUTSequence=[group(WindowCenter=at, WindowWidth=400)]) for at in (0, 40, 0)]
    values = np.array([[0, 840, 1040, 1240]])
    item = dicom(
        np.stack([values] * 3), NumberOfFrames=3, SharedFunctionalGroupsSequence=[scale],
        PerFrameFunctionalGroupsSequence=windows,
    )  # fmt: skip
    assert pixels(Dicom(DicomSettings(kind="dicom")).picture(item))[0, :, 0].tolist() == [0, 0, 127, 255]


def test_a_table_or_a_curve_of_the_file_is_its_window_and_padding_is_none():
    from pydicom.dataset import Dataset

    table = Dataset()
    table.LUTDescriptor, table.LUTData = [4, 0, 8], np.array([0, 255, 51, 102], "<u2").tobytes()
    own = Dicom(DicomSettings(kind="dicom"))
    item = dicom(np.array([[0, 1, 2, 3]]), VOILUTSequence=[table], WindowCenter=1, WindowWidth=2)
    assert pixels(own.picture(item))[0, :, 0].tolist() == [0, 255, 51, 102]
    curve = dicom(np.array([[0, 40, 400]]), WindowCenter=40, WindowWidth=400, VOILUTFunction="SIGMOID")
    assert pixels(own.picture(curve))[0, :, 0].tolist() == [102, 127, 248]
    padded = dicom(np.array([[-2000, *range(100)]]), PixelPaddingValue=-2000, RescaleSlope=None)
    assert 120 < pixels(own.picture(padded))[0, 51, 0] < 135


def test_a_folder_of_a_study_without_endings_is_found(tmp_path):
    from vlmine_dagster.resources.sources.detection import survey

    (tmp_path / "IMAGES").mkdir()
    for number in range(3):
        (tmp_path / "IMAGES" / f"IM{number}").write_bytes(dicom(np.arange(6).reshape(2, 3)))
    (tmp_path / "DICOMDIR").write_bytes(dicom(np.zeros((1, 1)), has_pixels=False))
    found = survey(str(tmp_path))
    assert (found.settings.medium.kind, found.contents) == ("dicom", "images: 3 without an ending")


def tiff(values: np.ndarray, **more) -> bytes:
    import tifffile

    stream = io.BytesIO()
    tifffile.imwrite(stream, values, photometric="minisblack", **more)
    return stream.getvalue()


def test_three_of_many_bands_are_seen_between_limits_or_stretched():
    bands = np.arange(5 * 30 * 20, dtype=np.uint16).reshape(5, 30, 20)
    shown = Bands(BandsSettings(kind="bands", shown=(4, 1, 2), limits=(0, 3000)))
    image = pixels(shown.picture(tiff(bands, planarconfig="separate")))
    assert image.shape == (30, 20, 3)
    assert image[0, 0].tolist() == [int(1800 / 3000 * 255), 0, int(600 / 3000 * 255)]
    last = tiff(np.moveaxis(bands, 0, -1), planarconfig="contig")
    assert (pixels(shown.picture(last)) == image).all()
    stretched = pixels(Bands(BandsSettings(kind="bands", stretch=10)).picture(tiff(bands, planarconfig="separate")))
    assert (stretched[0] == 0).all() and (stretched[-1] == 255).all()


def test_gaps_are_black_and_missing_bands_and_other_files_say_why():
    grey = np.linspace(0, 1, 600, dtype=np.float32).reshape(30, 20)
    grey[3, 4] = np.nan
    medium = Bands(BandsSettings(kind="bands", shown=(1, 1, 1)))
    assert pixels(medium.picture(tiff(grey)))[3, 4].tolist() == [0, 0, 0]
    with pytest.raises(PictureError, match="there is no band 2: the file has 1"):
        Bands(BandsSettings(kind="bands")).picture(tiff(grey))
    with pytest.raises(PictureError, match="no readable TIFF"):
        medium.picture(b"II*\0no tiff")


def test_pixels_without_a_value_are_black_and_spoil_no_stretch():
    grey = np.linspace(0, 1, 600, dtype=np.float32).reshape(30, 20)
    gaps = np.where(np.arange(30)[:, None] < 10, np.float32(-9999), grey)
    medium = Bands(BandsSettings(kind="bands", shown=(1, 1, 1), stretch=0))
    wanted = pixels(medium.picture(tiff(np.where(gaps < 0, np.float32("nan"), gaps))))
    assert wanted[:10].max() == 0 and wanted[-1, -1, 0] == 255 and 0 < wanted[20, 0, 0] < 255
    declared = tiff(gaps, extratags=[(42113, "s", 0, "-9999", True)])
    assert (pixels(medium.picture(declared)) == wanted).all()
    lowest = tiff(np.where(gaps < 0, np.finfo(np.float32).min, gaps))  # as programs write it, undeclared
    assert (pixels(medium.picture(lowest)) == wanted).all()


def test_bands_are_those_that_the_file_names_however_many_there_are():
    many = np.zeros((8, 9, 200), np.uint16)
    many[..., 1] = np.arange(8)[:, None]
    medium = Bands(BandsSettings(kind="bands", shown=(1, 2, 3), limits=(0, 7)))
    image = pixels(medium.picture(tiff(many, planarconfig="contig")))
    assert image[:, 0].tolist() == [[0, value * 255 // 7, 0] for value in range(8)]
    row = pixels(medium.picture(tiff(many[:1], planarconfig="contig")))
    assert row.shape == (1, 9, 3)
    with pytest.raises(PictureError, match="a TIFF of 4 axes"):
        medium.picture(tiff(np.zeros((2, 3, 8, 9), np.uint8), metadata={"axes": "TCYX"}))


def test_decoders_are_offered_once_though_the_library_is_missing(monkeypatch):
    from vlmine_dagster.resources import dicom_codecs

    dicom_codecs.register()
    offered = []
    dicom_codecs._register.cache_clear()
    monkeypatch.setattr(
        "pydicom.pixels.decoders.base.get_decoder",
        lambda syntax: SimpleNamespace(add_plugin=lambda *_: offered.append(syntax), available_plugins=()),
    )

    for _ in range(2):
        dicom_codecs.register()

    assert sorted(offered) == sorted(dicom_codecs.DECODER_DEPENDENCIES)
