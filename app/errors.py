"""The errors that gpudock tells its callers, each with its stable code.

Services and adapters raise these; they know no HTTP. `http_errors.STATUS` gives each class its
status, and the OpenAPI document lists the table. Codes below 2000 are those that clients of the
v1 contract switch on; newer conditions have codes from 2000 up.
"""

from typing import Any, ClassVar


class DomainError(Exception):
    """A refusal or failure that a caller is told about.

    `message` is one sentence that a person can act on; `data` holds JSON-ready details for a program.
    """

    code: ClassVar[int] = 2000
    title: ClassVar[str] = "unexpected failure"

    def __init__(self, message: str, **data: Any) -> None:
        super().__init__(message)
        self.message = message
        self.data = data or None


class InvalidRequest(DomainError):
    """The caller's input cannot be accepted as it is."""

    code, title = 1002, "body or parameters malformed"


class ImageNameMissing(InvalidRequest):
    """A create without `imageName`."""

    code, title = 1003, "image name missing"


class ContainerNameMissing(InvalidRequest):
    """A create without `containerName`."""

    code, title = 1005, "container name missing"


class ContainerNameHasDash(InvalidRequest):
    """A family name with `-`, which separates family and version."""

    code, title = 1006, "container name contains -"


class ContainerNameLacksVersion(InvalidRequest):
    """A container's name in which no version number follows the dash."""

    code, title = 1007, "container name lacks its version"


class GpuCountNegative(InvalidRequest):
    """A GPU count below zero."""

    code, title = 1018, "gpuCount negative"


class NameIllegal(InvalidRequest):
    """A name that Docker would not accept, or that is too long."""

    code, title = 2001, "name is not a legal Docker name"


class BindRefused(InvalidRequest):
    """A bind whose source or destination is not allowed."""

    code, title = 2002, "bind refused"


class EnvRefused(InvalidRequest):
    """An environment variable that is malformed or reserved."""

    code, title = 2003, "environment variable refused"


class SizeUnitUnsupported(InvalidRequest):
    """A size whose unit is none of KB, MB, GB, TB."""

    code, title = 1028, "size unit not supported"


class VolumeNameMissing(InvalidRequest):
    """A create without `name`."""

    code, title = 1023, "volume name missing"


class VolumeNameLacksVersion(InvalidRequest):
    """A volume's name in which no version number follows the dash."""

    code, title = 1026, "volume name lacks its version"


class VolumeNameHasDash(InvalidRequest):
    """A family name with `-`, which separates family and version."""

    code, title = 1030, "volume name contains -"


class VolumeNameBeginsWithSlash(InvalidRequest):
    """A volume is named, not addressed by a path."""

    code, title = 1031, "volume name begins with /"


class NotFound(DomainError):
    """The named thing does not exist."""

    code, title = 2010, "no such resource"


class ContainerNotFound(NotFound):
    """No container of that name."""

    code, title = 2011, "no such container"


class ImageNotFound(NotFound):
    """The image is not on this host; gpudock does not pull."""

    code, title = 2012, "no such image on this host"


class ImageNotInRegistry(NotFound):
    """The registry has no such image, or does not give it to this host."""

    code, title = 2111, "no such image in the registry"


class GpuNotFound(NotFound):
    """No GPU with that UUID."""

    code, title = 2013, "no such GPU"


class VolumeNotFound(NotFound):
    """No volume of that name."""

    code, title = 2014, "no such volume"


class OperationNotFound(NotFound):
    """No operation with that id, or it was long ago."""

    code, title = 2016, "no such operation"


class BindNotFound(NotFound):
    """The container has no such bind; data: binds."""

    code, title = 2015, "no such bind"


class NodeNotFound(NotFound):
    """No node of that name has ever joined the cluster; data: node, nodes."""

    code, title = 2100, "no such node"


class Conflict(DomainError):
    """The request contradicts the state of things."""

    code, title = 2020, "conflicts with the current state"


class ContainerExists(Conflict):
    """The family exists, is being created, or its name is taken in Docker."""

    code, title = 1014, "container exists already"


class NotEnoughGpus(Conflict):
    """Fewer GPUs are free than asked for; data: requested, free, total."""

    code, title = 1019, "not enough free GPUs"


class NotNewestVersion(Conflict):
    """A change was asked of an older version; data: newest."""

    code, title = 1034, "version is not the newest"


class OperationRunning(Conflict):
    """Another operation on the same family has not ended; data: kind, operation."""

    code, title = 2021, "another operation on it is running"


class OperationStuck(OperationRunning):
    """An operation that could neither be finished nor undone; somebody has to resolve it."""

    code, title = 2120, "blocked by an operation that is stuck"


class NotResolvable(Conflict):
    """An operation that is not stuck, or that cannot be resolved in the way that was asked for."""

    code, title = 2121, "operation cannot be resolved so"


class PortTaken(Conflict):
    """A host port is used by another container or by a foreign process; data: hostPort."""

    code, title = 2022, "host port taken"


class VolumeExists(Conflict):
    """The family exists, is being created, or its name is taken in Docker."""

    code, title = 1025, "volume exists already"


class VolumeTooSmall(Conflict):
    """The data would not fit into the new size; data: used, size (bytes)."""

    code, title = 1029, "volume holds more than the new size"


class VolumeInUse(Conflict):
    """A container uses the volume; data: containers."""

    code, title = 2027, "volume is in use"


class VolumeIncomplete(Conflict):
    """A change that broke off left only a part of the data in it."""

    code, title = 2028, "volume holds only a part of its data"


class Cancelled(Conflict):
    """The operation was cancelled by a caller and undone."""

    code, title = 2029, "operation was cancelled"


class NotCancellable(Conflict):
    """The operation is past its commit point, or of a kind that is always finished."""

    code, title = 2032, "operation cannot be cancelled any more"


class ContainerRunning(Conflict):
    """A delete without `force` met a running container."""

    code, title = 2023, "container is running"


class AlreadyManaged(Conflict):
    """A container or volume that was to be taken in is gpudock's own already."""

    code, title = 2085, "gpudock manages it already"


class AdoptionRefused(Conflict):
    """The container or volume to take in has settings that gpudock cannot keep; data: settings."""

    code, title = 2086, "it has what gpudock cannot take over"


class OnAnotherNode(Conflict):
    """The request is another host's to do; data: node.

    Requests are then sent on to that node, so callers see this only if the nodes do not agree where it is.
    """

    code, title = 2024, "it is on another node"

    @property
    def node(self) -> str:
        """The node whose it is."""
        return str((self.data or {})["node"])


class VolumesApart(Conflict):
    """A container cannot mount volumes of several nodes, or of another node than its own; data: volumes."""

    code, title = 2103, "volumes are on another node"


class ImageNameTaken(Conflict):
    """A commit would take an image name away from another image."""

    code, title = 2025, "image name taken"


class ImageInUse(Conflict):
    """A container, a recorded version, an operation or another image needs the image; data: containers."""

    code, title = 2113, "image is in use"


class ContainerNotRunning(Conflict):
    """A command was to be executed in a container that does not run."""

    code, title = 1012, "command could not be executed"


class CommandRefused(DomainError):
    """The command cannot be executed in the container (not found, not executable, bad workDir)."""

    code, title = 1012, "command could not be executed"


class CommandTimeout(DomainError):
    """The command outran its deadline and was killed; data: seconds, stdout, stderr."""

    code, title = 2030, "command ran longer than its deadline"


class RegistryUnreachable(DomainError):
    """The registry that an image's name means does not answer."""

    code, title = 2110, "registry cannot be reached"


class StartRefused(DomainError):
    """Docker cannot start the container as the caller described it."""

    code, title = 1009, "container could not be started"


class OperationFailed(DomainError):
    """A step failed for a reason that is not the caller's; everything was undone."""

    code, title = 2000, "unexpected failure"


class StartFailed(OperationFailed):
    """The container could not be started."""

    code, title = 1009, "container could not be started"


class DeleteFailed(OperationFailed):
    """The container could not be deleted."""

    code, title = 1011, "container could not be deleted"


class GpuChangeFailed(OperationFailed):
    """The GPU change failed; the old version is as it was."""

    code, title = 1013, "GPU change failed"


class VolumeCreateFailed(OperationFailed):
    """The volume could not be created."""

    code, title = 1022, "volume could not be created"


class VolumeDeleteFailed(OperationFailed):
    """The volume could not be deleted."""

    code, title = 1024, "volume could not be deleted"


class VolumeDriverUnknown(OperationFailed):
    """A volume made by a driver that this version of gpudock does not have."""

    code, title = 2122, "volume driver unknown"


class VolumeChangeFailed(OperationFailed):
    """The change of a volume, or of a container's volume, failed; the old version is as it was."""

    code, title = 1015, "volume change failed"


class StopFailed(OperationFailed):
    """The container could not be stopped."""

    code, title = 1016, "stop failed"


class RestartFailed(OperationFailed):
    """The container could not be restarted."""

    code, title = 1017, "restart failed"


class RollbackFailed(OperationFailed):
    """Going back to an earlier version failed; the newest one is as it was."""

    code, title = 2033, "rollback failed"


class AdoptionFailed(OperationFailed):
    """Taking a container or volume in failed; it is as it was."""

    code, title = 2087, "could not be taken in"


class CommitFailed(OperationFailed):
    """The container could not be committed to an image."""

    code, title = 1021, "commit failed"


class ImagePullFailed(OperationFailed):
    """The image could not be pulled."""

    code, title = 2112, "image could not be pulled"


class ImageRemoveFailed(OperationFailed):
    """The image could not be removed."""

    code, title = 2114, "image could not be removed"


class LayerCopyFailed(OperationFailed):
    """The files of a container or volume could not be carried to its next version."""

    code, title = 2031, "files could not be carried over"


class Unavailable(DomainError):
    """A part that gpudock needs does not answer; data: part (docker, etcd, nvml, disk)."""

    code, title = 2040, "a needed part is down"

    def __init__(self, part: str, message: str) -> None:
        super().__init__(message, part=part)
        self.part = part


class OutcomeUnknown(Unavailable):
    """The part was cut off in the middle of a write: it may have happened."""


class NodeUnreachable(Unavailable):
    """The node that the request is for does not answer; nothing was changed."""

    code, title = 2101, "node is unreachable"


class NodeCutOff(OutcomeUnknown):
    """The node that the request is for had got it when the connection broke: it may have been done."""

    code, title = 2102, "node was cut off, outcome unknown"


class NodeRefused(Unavailable):
    """The node that the request is for does not let this one's callers in."""

    code, title = 2104, "node has another token"


class StateUnexplained(Unavailable):
    """etcd is older than the Docker that it describes, or empty: nothing is changed until an operator has looked."""

    code, title = 2093, "etcd is older than Docker"


class RestoreUnfinished(Unavailable):
    """A restore of a backup runs or broke off, so etcd holds only a part of the state."""

    code, title = 2094, "a restore is not finished"


class BackupDamaged(InvalidRequest):
    """A file is no backup, or not as it was written."""

    code, title = 2090, "backup is damaged"


class BackupUnsuitable(InvalidRequest):
    """A backup of another format or key layout than this gpudock's, or there is nothing to back up."""

    code, title = 2091, "backup does not suit"


class UnreadableRecord(DomainError):
    """A record in etcd is not as any gpudock writes it; nothing that it is about is touched. Data: key, problem."""

    code, title = 2123, "a record in etcd cannot be read"

    @property
    def key(self) -> str:
        """Name the record's key, below the prefix."""
        return str((self.data or {})["key"])

    @property
    def problem(self) -> str:
        """Say what is wrong with it."""
        return str((self.data or {})["problem"])


class StateExists(Conflict):
    """A restore would overwrite what etcd holds."""

    code, title = 2092, "etcd is not empty"


class Fenced(Conflict):
    """This process lost its operation to another one and must not write any more."""

    code, title = 2026, "operation was taken over"


class GpuContended(Conflict):
    """Others changed whether the GPU is in service each time that this request tried to."""

    code, title = 2080, "others change the GPU all the time"


class KeyReused(DomainError):
    """An idempotency key came before with another request."""

    code, title = 2070, "Idempotency-Key used for another request"


class FirstStillRuns(Conflict):
    """The first request with this idempotency key has not ended."""

    code, title = 2071, "first request with this Idempotency-Key still runs"


class AnswerNotKept(Conflict):
    """The request was done before, but its answer was too large to be stored; data: status, location."""

    code, title = 2072, "answer of the first request was too large to be kept"


class Unauthenticated(DomainError):
    """No token, or a wrong one."""

    code, title = 2050, "not logged in"


class Forbidden(DomainError):
    """The caller may not do this, or not from there."""

    code, title = 2051, "not allowed"
