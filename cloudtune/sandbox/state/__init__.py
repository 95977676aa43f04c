"""What outlives a server: jobs, their logs, and what moto holds."""

from cloudtune.sandbox.state.archive import Archive, DirectoryArchive, NoArchive

__all__ = ["Archive", "DirectoryArchive", "NoArchive"]
