"""The table of sources of images."""

from collections.abc import Callable
from dataclasses import dataclass

from vaelab.data import digits, shapes
from vaelab.data.dataset import Contents
from vaelab.data.formats import amat, archive, folder, h5, idx, mat, npy, parquet, svhn, tensors
from vaelab.data.formats import npz as arrays
from vaelab.data.reading import Reading

FREY = "freyfaces.npz"


@dataclass(frozen=True)
class SourceEntry:
    """An entry of the table of data sources. The user's own `vaelab.parts.contracts.Source` also becomes an entry.

    Arguments:
        summary: one line that describes the images.
        protocol: the name of the default protocol.
        read: the directory of `files`, or the user's argument -> the images of each split.
        files: the names of files that must be in ROOT/name (an IDX file may be gzipped); empty if none are needed.
        argument: what the user appends as name:ARGUMENT; "" for none.
        official: the published numbers of training and test images. With other numbers the data are noted as a slice.
        options: whether options may follow the argument, name:ARGUMENT:option=value; see docs/data.md.
        gzipped: whether each of `files` may also be there as FILE.gz.
        read_as: the same as `read`, of image files, which can be converted and labelled as a Reading says; None for
            other files.
    """

    summary: str
    protocol: str
    read: Callable[[str], Contents]
    files: tuple[str, ...] = ()
    argument: str = ""
    official: tuple[int, int] | None = None
    options: bool = False
    gzipped: bool = False
    read_as: Callable[[str, Reading], Contents] | None = None


SOURCES = {
    "digits": SourceEntry("8 x 8 digits inside scikit-learn, 1,797", "binary-dynamic", lambda _: digits.read()),
    "shapes": SourceEntry("32 x 32 RGB, generated: shapes with known factors", "8bit", lambda _: shapes.read()),
    "mnist": SourceEntry(
        "28 x 28 digits", "binary-dynamic", idx.read, idx.FILES, official=(60_000, 10_000), gzipped=True
    ),
    "svhn": SourceEntry("32 x 32 RGB house numbers", "8bit", svhn.read, svhn.FILES, official=(73_257, 26_032)),
    "frey": SourceEntry("28 x 20 grey frames of one face", "8bit", lambda at: arrays.read(f"{at}/{FREY}"), (FREY,)),
    "idx": SourceEntry("IDX files with MNIST's names, or one pair", "8bit", idx.read, argument="DIR|IMAGES[,LABELS]"),
    "npz": SourceEntry(
        "NumPy arrays: images, or train_images, val_images, test_images, or Keras' names",
        "8bit",
        arrays.read,
        argument="FILE",
        options=True,
    ),
    "npy": SourceEntry("a NumPy array that stays on disk", "8bit", npy.read, argument="IMAGES[,LABELS]", options=True),
    "h5": SourceEntry("HDF5 arrays that stay on disk", "8bit", h5.read, argument="FILE", options=True),
    "mat": SourceEntry("arrays of a MATLAB v5 file", "8bit", mat.images, argument="FILE", options=True),
    "amat": SourceEntry(
        "rows of numbers in text: Larochelle's files", "8bit", amat.read, argument="FILE|DIR", options=True
    ),
    "pt": SourceEntry("tensors that torch.save wrote", "8bit", tensors.pt, argument="FILE", options=True),
    "safetensors": SourceEntry("tensors", "8bit", tensors.safetensors, argument="FILE", options=True),
    "parquet": SourceEntry(
        "image files in the column of a table: Hugging Face",
        "8bit",
        parquet.read,
        argument="FILE|DIR",
        options=True,
        read_as=parquet.read,
    ),
    "zip": SourceEntry(
        "image files, as in folder, in a zip archive", "8bit", archive.zipped, argument="FILE", read_as=archive.zipped
    ),
    "tar": SourceEntry(
        "image files, as in folder, in a tar archive", "8bit", archive.tarred, argument="FILE", read_as=archive.tarred
    ),
    "folder": SourceEntry(
        "image files, in DIR/train, DIR/val, DIR/test or in DIR; the sub-folders are the classes",
        "8bit",
        folder.read,
        argument="DIR",
        read_as=folder.read,
    ),
}
