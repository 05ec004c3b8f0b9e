"""Who is watched and how it speaks: dated rows of outlets, data loggers and more, CSV files to tables and back."""

from hj212gw.registry.csvfiles import InputFile, read_files, write_file
from hj212gw.registry.findings import Finding, Findings, Level
from hj212gw.registry.kinds import FILES, KINDS, Entry, Kind, Place
from hj212gw.registry.replace import Swap, SwapReport, replace_logger
from hj212gw.registry.sync import Report, check_files, export_registry, import_files

__all__ = [
    "FILES",
    "KINDS",
    "Entry",
    "Finding",
    "Findings",
    "InputFile",
    "Kind",
    "Level",
    "Place",
    "Report",
    "Swap",
    "SwapReport",
    "check_files",
    "export_registry",
    "import_files",
    "read_files",
    "replace_logger",
    "write_file",
]
