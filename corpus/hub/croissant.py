"""Croissant metadata of a dataset: ``croissant.json``, JSON-LD by the specification 1.0 of MLCommons.

It names each Parquet file with its size and SHA-256, so that it is the dataset's list of files too: ``trace-mine push``
holds a folder against it. Configurations are record sets, columns their fields; a list of records is a repeated field
with sub-fields. It has no dates, so that the same dataset has the same metadata.

Source: http://mlcommons.org/croissant/1.0; read by ``mlcroissant`` in the tests.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from trace_mine.corpus.hub.configurations import MEANINGS, Configuration
from trace_mine.corpus.schema import COLUMNS, Column
from trace_mine.corpus.stats import Stats

FILE = "croissant.json"
_PARQUET = "application/x-parquet"
_TYPES = {str: "sc:Text", int: "sc:Integer", float: "sc:Float", bool: "sc:Boolean"}
_CONTEXT = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileObject": "cr:fileObject",
    "fileProperty": "cr:fileProperty",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "parentField": "cr:parentField",
    "path": "cr:path",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
    "equivalentProperty": "cr:equivalentProperty",
}
"""The context of the specification; ``mlcroissant`` warns of any other."""
KEYWORDS = ["code", "execution traces", "python", "state tracking"]


@dataclass(frozen=True, slots=True, kw_only=True)
class DataFile:
    """A Parquet file of a dataset: its path in there with ``/``, its size, and its SHA-256 in hexadecimal.

    Raises:
        ValueError: the hash is none.
    """

    path: str
    num_bytes: int
    sha256: str

    def __post_init__(self) -> None:
        if len(self.sha256) != 64:
            raise ValueError(f"expected a SHA-256 in hexadecimal, got {self.sha256!r} for {self.path!r}")


def croissant_json(
    stats: Stats, configurations: Sequence[Configuration], files: Sequence[DataFile], *, version: str, citation: str
) -> bytes:
    """Return the content of ``croissant.json``, ASCII.

    Args:
        stats: the dataset's statistics.
        configurations: of its files.
        files: all of its Parquet files.
        version: the dataset's version, of three numbers.
        citation: how to cite it, as BibTeX.
    """
    is_synthetic = "task" in stats["config"]
    metadata = {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "name": "synthetic-execution-traces" if is_synthetic else "execution-traces",
        "description": _description(stats, is_synthetic=is_synthetic),
        "conformsTo": "http://mlcommons.org/croissant/1.0",
        "citeAs": citation,
        # SPDX expressions; the rows say which is whose
        "license": [*stats["by_licence"]] or ["NOASSERTION"],
        "version": version,
        "keywords": KEYWORDS,
        "isLiveDataset": False,
        "distribution": [*map(_file_object, files), *map(_file_set, configurations)],
        "recordSet": [_record_set(each) for each in configurations],
    }
    return (json.dumps(metadata, indent=1) + "\n").encode("ascii")


def files_of(croissant: object) -> list[DataFile]:
    """Return the Parquet files that the JSON of a ``croissant.json`` names.

    Raises:
        ValueError: it is no such JSON.
    """
    listed = croissant.get("distribution") if isinstance(croissant, dict) else None
    if not isinstance(listed, list):
        raise ValueError("expected Croissant metadata with a distribution, got none")
    files = []
    for each in listed:
        if isinstance(each, dict) and each.get("@type") == "cr:FileObject":
            path, size, digest = each.get("contentUrl"), each.get("contentSize"), each.get("sha256")
            if not (isinstance(path, str) and isinstance(size, str) and isinstance(digest, str)):
                raise ValueError("expected files with contentUrl, contentSize and sha256, got others")
            number = size.removesuffix(" B")
            if not (number.isascii() and number.isdigit()):
                raise ValueError(f"expected a size in bytes, got {size!r:.100}")
            files.append(DataFile(path=path, num_bytes=int(number), sha256=digest))
    return files


def _description(stats: Stats, *, is_synthetic: bool) -> str:
    if is_synthetic:
        return (
            f"{stats['rows']} sessions of a task whose law is known, with the exact belief at every reveal; generated "
            "by trace-mine, nothing was run."
        )
    return (
        f"{stats['rows']} sessions of real Python, recorded in a sandbox by trace-mine: each text is a doctest that "
        "replays, with the true state after every command."
    )


def _file_object(file: DataFile) -> Mapping[str, object]:
    return {
        "@type": "cr:FileObject",
        "@id": file.path,
        "name": file.path,
        "contentUrl": file.path,
        "contentSize": f"{file.num_bytes} B",
        "encodingFormat": _PARQUET,
        "sha256": file.sha256,
    }


def _file_set(configuration: Configuration) -> Mapping[str, object]:
    includes = [
        pattern for each in configuration.patterns.values() for pattern in ([each] if isinstance(each, str) else each)
    ]
    return {
        "@type": "cr:FileSet",
        "@id": f"files-of-{configuration.name}",
        "name": f"files-of-{configuration.name}",
        "description": f"{MEANINGS[configuration.name]}; splits: {', '.join(configuration.files)}",
        "encodingFormat": _PARQUET,
        "includes": includes,
    }


def _record_set(configuration: Configuration) -> Mapping[str, object]:
    return {
        "@type": "cr:RecordSet",
        "@id": configuration.name,
        "name": configuration.name,
        "description": MEANINGS[configuration.name],
        "key": {"@id": f"{configuration.name}/trace_id"},
        "field": [_field(column, configuration.name) for column in COLUMNS],
    }


def _field(column: Column, configuration: str) -> Mapping[str, object]:
    place = f"{configuration}/{column.name}"
    field: dict[str, object] = {
        "@type": "cr:Field",
        "@id": place,
        "name": place,
        "description": column.meaning.text,
    }
    if column.is_list:
        field["repeated"] = True
    if column.scalar is not None:
        return {**field, "dataType": _TYPES[column.scalar], "source": _source(column.name, configuration)}
    field["subField"] = [
        {
            "@type": "cr:Field",
            "@id": f"{place}/{inner.name}",
            "name": f"{place}/{inner.name}",
            "description": inner.meaning.text,
            **({"repeated": True} if inner.is_list else {}),
            "dataType": _TYPES[inner.scalar or str],
            "source": {**_source(column.name, configuration), "transform": {"jsonPath": inner.name}},
        }
        for inner in column.fields
    ]
    return field


def _source(column: str, configuration: str) -> dict[str, object]:
    return {"fileSet": {"@id": f"files-of-{configuration}"}, "extract": {"column": column}}
