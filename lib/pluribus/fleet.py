"""How a fleet is run: its tasks, the machines of its steps, what they cost, whom to tell. Part of the configuration."""

from dataclasses import asdict, dataclass, field, replace
from typing import Annotated, Any, ClassVar

from annotated_types import Ge, Gt

from pluribus.records import FORBID_UNKNOWN, Count
from pluribus.schedules import cron

STEPS = ("start", "ingest", "validate", "embed", "build", "evaluate", "publish", "join", "end")  # of the flow
Price = Annotated[float, Ge(0)]


@dataclass(frozen=True, kw_only=True)
class Run:
    """How one refresh is cut into tasks."""

    __pydantic_config__: ClassVar[dict[str, Any]] = FORBID_UNKNOWN
    batch_products: Count = 50_000  # shops share a task until it expects this many products
    most_batches: Count = 90  # Metaflow refuses a foreach wider than 100 by default
    hour_price: Price = 1.0  # of the machine that a task has: what limits.spend counts in
    workers: Count = 2  # tasks at a time on one machine


@dataclass(frozen=True, kw_only=True)
class Rates:
    """What machines and objects cost, in USD. The defaults are list prices of us-east-1, on demand, 2025."""

    __pydantic_config__: ClassVar[dict[str, Any]] = FORBID_UNKNOWN
    gpu_hour: Price = 1.006  # g5.xlarge: the machine of the embed step
    cpu_hour: Price = 0.048  # one vCPU with 2 GiB of m6i
    gb_month: Price = 0.023  # S3 Standard
    thousand_writes: Price = 0.005
    thousand_reads: Price = 0.0004


@dataclass(frozen=True, kw_only=True)
class Alerts:
    """Whom to tell of what went wrong, and where to leave figures."""

    __pydantic_config__: ClassVar[dict[str, Any]] = FORBID_UNKNOWN
    webhook: str = ""  # gets a POST of JSON; $NAME is taken from the environment, so that no secret stands here
    most_usd: Annotated[float, Ge(0)] = 0.0  # of one run; 0: no limit
    metrics: str = ""  # a file that is rewritten after each run, for Prometheus' textfile collector


@dataclass(frozen=True, kw_only=True)
class Machine:
    """What a step asks of a cluster."""

    __pydantic_config__: ClassVar[dict[str, Any]] = FORBID_UNKNOWN
    cpu: Count = 2
    memory_mb: Count = 8_000
    gpu: Annotated[int, Ge(0)] = 0
    disk_mb: Count = 20_000
    hours: Annotated[float, Gt(0)] = 6.0  # then the step is stopped, and tried again


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What the configuration says of a step's machine; of what it leaves out, MACHINES says it."""

    __pydantic_config__: ClassVar[dict[str, Any]] = FORBID_UNKNOWN
    cpu: Count | None = None
    memory_mb: Count | None = None
    gpu: Annotated[int, Ge(0)] | None = None
    disk_mb: Count | None = None
    hours: Annotated[float, Gt(0)] | None = None


@dataclass(frozen=True, kw_only=True)
class Deploy:
    """How the flow runs on a cluster; baked into the definition by `pluribus deploy`."""

    __pydantic_config__: ClassVar[dict[str, Any]] = FORBID_UNKNOWN
    schedule: str = "17 * * * *"  # cron, UTC: starts `--shops due`; blank: only by hand or event
    event: str = "catalog_updated"  # Argo: starts the shop named in its payload's "shop"; blank: none
    image: str = ""  # with Python and requirements.lock installed; blank: Metaflow's default, which lacks them
    secrets: tuple[str, ...] = ()  # names of Kubernetes secrets that become environment; never values
    machines: dict[str, Asked] = field(default_factory=dict)  # by step, laid over MACHINES

    def __post_init__(self) -> None:
        if self.schedule:
            cron(self.schedule)
        unknown = sorted(set(self.machines) - set(STEPS))
        if unknown:
            raise ValueError(f"machines of the steps {', '.join(STEPS)}; {', '.join(map(repr, unknown))} came")

    def machine(self, step: str) -> Machine:
        """What a step asks for."""
        said = asdict(self.machines.get(step, Asked()))
        return replace(MACHINES.get(step, Machine()), **{name: of for name, of in said.items() if of is not None})


MACHINES = {
    "start": Machine(memory_mb=4_096, hours=1),
    "embed": Machine(cpu=4, memory_mb=16_000, gpu=1),
    "build": Machine(cpu=4, memory_mb=16_000),
    "evaluate": Machine(cpu=4, memory_mb=16_000),
    "join": Machine(memory_mb=4_096, hours=1),
    "end": Machine(memory_mb=4_096, hours=1),
}
