"""Who is watched: enterprises, outlets and data loggers as dated rows, CSV files to tables and back."""

from hj212gw.registry.csvfiles import InputFile, read_files, write_file
from hj212gw.registry.findings import Finding, Findings, Level
from hj212gw.registry.kinds import KINDS, Entry, Kind, Place
from hj212gw.registry.sync import Report, check_files, export_registry, import_files

__all__ = [
    "KINDS",
    "Entry",
    "Finding",
    "Findings",
    "InputFile",
    "Kind",
    "Level",
    "Place",
    "Report",
    "check_files",
    "export_registry",
    "import_files",
    "read_files",
    "write_file",
]
