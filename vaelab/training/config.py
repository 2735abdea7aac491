"""The training options of a Spec."""

from typing import Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ModelWrapValidatorHandler,
    ValidationError,
    field_validator,
    model_validator,
)

from vaelab.system.errors import SpecError, shortened, unknown


class TrainingConfig(BaseModel):
    """The training options of a Spec. Raises SpecError if a field is unknown or its value is not allowed."""

    # Validate defaults like given values: 0 and 0.0 are then the same number, and give a Spec the same hash
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, validate_default=True)

    epochs: float = Field(default=30, gt=0, le=1e9, description="passes over the training images")
    batch: int = Field(
        default=100,
        ge=1,
        le=2**31 - 1,
        description="images in a step. If there are fewer training images, each step takes all of them",
    )
    shards: int = Field(
        default=1,
        ge=1,
        le=2**20,
        description="equal parts of a batch, each with noise of its own: 1, 2, 4, 8, ... A training of K shards can be "
        "shared by K workers or fewer, and gives the same weights for each number of them",
    )
    learning_rate: float = Field(default=1e-3, gt=0, description="learning rate of Adam, before the schedule")
    schedule: str = Field(
        default="constant", description="schedule of the learning rate, such as cosine:warmup=0.05; see `vaelab parts`"
    )
    clip_norm: float = Field(
        default=0,
        ge=0,
        le=1e30,
        description="largest norm of the gradient; a larger gradient is scaled down to it. 0: no clipping",
    )
    ema_decay: float = Field(
        default=0,
        ge=0,
        lt=1,
        description="keep an exponential moving average of the weights, with this decay, as the model; 0: no average",
    )
    precision: Literal["float32", "bfloat16"] = Field(
        default="float32", description="number format of the networks. Densities are always float32"
    )
    patience: float = Field(
        default=0,
        ge=0,
        le=1e9,
        description="stop if the objective on the validation images has not improved for this many epochs; 0: never",
    )
    validate_every: float = Field(
        default=1,
        ge=1e-6,
        le=1e9,
        description="number of epochs between two validations. Each validation is one line of the log",
    )
    start: Literal["mean", "zero"] = Field(
        default="mean",
        description="what the untrained decoder gives. mean: about the mean training image; zero: what its initial "
        "weights give",
    )
    seed: int = Field(
        default=0, ge=0, le=2**63 - 1, description="seed of the weights, the order of the images and the noise"
    )

    @field_validator("shards")
    @classmethod
    def _power_of_two(cls, shards: int) -> int:
        if shards & (shards - 1):
            raise ValueError("1, 2, 4, 8 or another power of two: shards are summed in pairs")
        return shards

    @model_validator(mode="wrap")
    @classmethod
    def _one_line_errors(cls, data: Any, handler: ModelWrapValidatorHandler["TrainingConfig"]) -> "TrainingConfig":
        try:
            return handler(data)
        except ValidationError as error:
            first = error.errors()[0]
            name = ".".join(map(str, first["loc"]))
            if first["type"] == "extra_forbidden":
                raise unknown("field", name, cls.model_fields) from error
            raise SpecError(
                found=f"{name} = {shortened(first['input'])}",
                expected=first["msg"].removeprefix("Input should be ").removeprefix("Value error, "),
                do=f"use another value for {name}",
            ) from error
