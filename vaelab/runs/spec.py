"""The Spec: one run, described completely."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, model_validator

from vaelab.parts.trust import check_trust, modules_in
from vaelab.system.errors import SpecError, in_print, shortened
from vaelab.system.files import parsed
from vaelab.training.config import TrainingConfig

# Fields that earlier versions did not have. At its default such a field is not written, so that a Spec keeps its hash.
ADDED = ("resize", "grey", "convert", "labels", "test", "stratify", "shards")
PARTS = ("data", "model", "network", "likelihood", "posterior", "prior", "refit", "objective", "schedule")


class Spec(TrainingConfig):
    """A frozen description of one run: its data, model, objective and training.

    Parts are written `name` or `name:option=value:option=value`; `package.module:Name` is a part of your own.
    """

    data: str = Field(
        default="digits",
        description="images, such as mnist, npz:FILE, folder:DIR or package.module:Name; see `vaelab data list`",
    )
    resize: str = Field(
        default="",
        description="resize image files, with Pillow's filter LANCZOS. HxW stretches them; crop:HxW first cuts them to "
        "that shape, around the centre. Empty: they keep their size",
    )
    grey: bool = Field(default=False, description="make image files grey")
    convert: bool = Field(
        default=False,
        description="also read image files that are transparent, CMYK, 16-bit grey or animated. Transparent pixels are "
        "put on white, CMYK becomes RGB, 16-bit grey is divided by 257 and rounded, and only the first frame is read. "
        "If there are grey and RGB images, the grey ones become RGB",
    )
    labels: str = Field(
        default="",
        description="labels of image files: csv:FILE[:file=COLUMN:label=COLUMN], or name:REGEX, whose first "
        "group is the class. Empty: the sub-folders are the classes",
    )
    protocol: str | None = Field(
        default=None,
        description="how pixels are read: binary-dynamic, binary-static, binary-threshold, grey, levels or 8bit. "
        "None: the protocol of the data",
    )
    validation: float = Field(
        default=0.1,
        ge=0,
        description="training images to hold out for validation: a proportion (below 1) or a number. "
        "If the data have validation images of their own, those are used instead. 0: no validation",
    )
    test: float = Field(
        default=0.1,
        description="images to hold out for the test if the data have no test images of their own: "
        "a proportion (below 1) or a number",
    )
    stratify: bool = Field(
        default=False, description="hold out images of each class in proportion; the data must have labels"
    )
    split_seed: int = Field(default=0, ge=0, le=2**63 - 1, description="seed that chooses the images that are held out")

    model: str = Field(default="vae", description="how the parts are composed; see `vaelab parts`")
    latent: int = Field(
        default=20,
        ge=1,
        le=2**31 - 1,
        description="number of latent dimensions, D. With --model ladder: that of each group at each position"
        " of the image",
    )
    network: str = Field(
        default="mlp",
        description="network of the encoder and the decoder, such as mlp:hidden=500,200; see `vaelab parts`",
    )
    likelihood: str = Field(
        default="",
        description="p(x|z), such as gaussian:sigma=0.1; see `vaelab parts`. Empty: one is chosen for the "
        "pixels, such as bernoulli for binary pixels and gaussian:sigma=shared for 8bit",
    )
    posterior: str = Field(default="diagonal", description="q(z|x); see `vaelab parts`")
    prior: str = Field(default="standard", description="p(z); see `vaelab parts`")
    condition: Literal["none", "labels"] = Field(
        default="none", description="what the encoder and the decoder are conditioned on, in addition to x and z"
    )
    refit: str = Field(
        default="",
        description="prior that is fitted to the z of the training images after training, and replaces that of "
        "--prior. Empty: none",
    )
    objective: str = Field(
        default="elbo", description="what training optimises, such as iwae:samples=5; see `vaelab parts`"
    )

    nll_samples: int = Field(
        default=100,
        ge=1,
        le=2**31 - 1,
        description="K, the number of draws of z for each test image, for the NLL after training",
    )

    @model_validator(mode="after")
    def _patience_needs_validation(self) -> "Spec":
        if self.patience and not self.validation:
            raise SpecError(
                found=f"patience = {self.patience:g} with validation = 0",
                expected="validation images, because no weights are chosen by test images",
                do="set --validation 0.1, or --patience 0",
            )
        return self

    @model_validator(mode="after")
    def _text_is_text(self) -> "Spec":
        for field, value in self.model_dump().items():
            if isinstance(value, str) and in_print(value) != value:
                raise SpecError(
                    found=f"{field} = {shortened(value)}", expected="text that can be printed", do=f"change {field}"
                )
        return self

    def as_row(self) -> dict[str, Any]:
        """The fields as they are written to files: without the `ADDED` ones that have their default."""
        plain = {field: type(self).model_fields[field].default for field in ADDED}
        return {
            field: value for field, value in self.model_dump().items() if field not in plain or value != plain[field]
        }

    def canonical_json(self) -> str:
        """The Spec as JSON with sorted keys; equal Specs give equal text."""
        return json.dumps(self.as_row(), sort_keys=True, indent=1) + "\n"

    @property
    def hash(self) -> str:
        """Ten hexadecimal digits that name this Spec."""
        return hashlib.sha256(self.canonical_json().encode()).hexdigest()[:10]

    @property
    def parts(self) -> dict[str, str]:
        """The fields that name parts; `data` is included only if the source is the user's own."""
        from vaelab.data.sources import modules_of  # imported here because it imports NumPy, which would delay --help

        fields = {field: value for field, value in self.model_dump().items() if field in PARTS and value}
        return fields if modules_of(self.data) else {field: fields[field] for field in fields if field != "data"}

    @property
    def own_modules(self) -> tuple[str, ...]:
        """The user's own modules that its parts are in."""
        return tuple(dict.fromkeys(module for text in self.parts.values() for module in modules_in(text)))

    @classmethod
    def read(cls, path: Path, trust: Sequence[str] = ()) -> "Spec":
        """Read the Spec in a JSON file.

        Arguments:
            trust: the user's own modules that it may name.

        Raises:
            RunError: the file is missing, or is not a JSON object.
            SpecError: it names a module that is not trusted.
        """
        spec = cls(
            **parsed(path, _fields, expected="a Spec: a JSON object", do="give another file, or delete that run")
        )
        check_trust(path, spec.parts, trust)
        return spec


def _fields(text: str) -> dict[str, Any]:
    found = json.loads(text)
    if not isinstance(found, dict):
        raise TypeError(f"a {type(found).__name__} instead of an object")
    return found
