"""The datasheet of a dataset: ``DATASHEET.md``, questions about it answered from its own facts.

The questions are those of Gebru et al., Datasheets for Datasets (arXiv 1803.09010), shortened and in their order. What
the program that writes the page can't know is said to be so, for whoever publishes the dataset to fill in. Like the
card it has no dates, and strangers' names go through ``in_markdown``.
"""

from __future__ import annotations

from collections.abc import Sequence

from trace_mine.corpus.hub.configurations import MEANINGS, Configuration
from trace_mine.corpus.hub.reproduction import command_of, versions_sentence
from trace_mine.corpus.stats import Stats, cleaning_sentence, frames_sentence, verification_sentence
from trace_mine.tracer.inside.reasons import drop_sentence
from trace_mine.tracer.visible import in_markdown

FILE = "DATASHEET.md"
MOST_NAMES = 50
"""Names of repositories that one answer lists."""
UNKNOWN = "The program that wrote this page can't know that; whoever publishes the dataset says so here."

Answers = Sequence[tuple[str, str]]
"""Questions with their answers, in Markdown."""


def datasheet(stats: Stats, configurations: Sequence[Configuration]) -> str:
    """Return the text of the datasheet."""
    sections: list[tuple[str, Answers]] = [
        ("Motivation", _motivation(stats)),
        ("Composition", _composition(stats, configurations)),
        ("Collection", _collection(stats)),
        ("Preprocessing, cleaning, labelling", _preprocessing(stats)),
        ("Uses", _uses()),
        ("Distribution", _distribution(stats)),
        ("Maintenance", _maintenance()),
    ]
    parts = [
        "# Datasheet",
        "After *Datasheets for Datasets* (arXiv 1803.09010), answered by trace-mine from the dataset's own counts "
        "(`stats.json`); the card (`README.md`) has tables and columns.",
    ]
    for title, answers in sections:
        parts.append(f"## {title}")
        parts += [f"**{question}** {answer}" for question, answer in answers]
    return "\n\n".join(parts) + "\n"


def _is_synthetic(stats: Stats) -> bool:
    return "task" in stats["config"]


def _motivation(stats: Stats) -> Answers:
    purpose = (
        "To train and probe sequence models on state tracking where the law of what is hidden is known exactly: each "
        "session of a synthetic task comes with the belief over what its reveals could have shown."
        if _is_synthetic(stats)
        else "To teach and test state tracking in sequence models on real programs: sessions of the statements that "
        "ran, each of which replays, with the true state after every command."
    )
    return [
        ("For what purpose was it made?", purpose),
        ("Who made it, and who paid for it?", UNKNOWN),
    ]


def _composition(stats: Stats, configurations: Sequence[Configuration]) -> Answers:
    sources = ", ".join(f"{in_markdown(name)} {group['rows']}" for name, group in stats["by_source"].items())
    splits = ", ".join(f"{name} {count}" for name, count in stats["splits"].items()) or "none has rows"
    listed = "; ".join(f"`{each.name}`: {MEANINGS[each.name]} ({', '.join(each.files)})" for each in configurations)
    names = [*stats["by_repository"]]
    shown = ", ".join(in_markdown(name) for name in names[:MOST_NAMES])
    more = f" and {len(names) - MOST_NAMES} more (`stats.json`)" if len(names) > MOST_NAMES else ""
    uncertain = sum(stats["uncertain"].values())
    whole = (
        "Rows of a generator: as many as were asked for, without those whose text came twice."
        if _is_synthetic(stats)
        else f"All snippets that were found in {shown or 'no repository'}{more}: {stats['found']}, of which "
        f"{stats['duplicates']} were duplicates and {sum(stats['drops'].values())} gave no row."
    )
    return [
        (
            "What is an instance?",
            "One session at Python's prompt: its text with the parts of it, commands, states, "
            "choices, beliefs, provenance and licence.",
        ),
        (
            "How many are there?",
            f"{stats['rows']} ({sources or 'none'}); {stats['steps']} commands, "
            f"{stats['characters']} characters. Configurations: {listed or 'none'}.",
        ),
        ("Is it a sample of something larger?", whole),
        (
            "Is there a label or target?",
            "No label; `states` is the ground truth after each command, `beliefs` the law of "
            f"each output that could have been another one ({uncertain} rows have such an output).",
        ),
        ("Is anything missing?", _drops(stats)),
        ("Are relations between instances explicit?", "By `repository`, `path`, `name` and `trace_id`."),
        (
            "Are there recommended splits?",
            f"{splits}. A repository stands in one split by the hash of its name"
            f"{', but here by function' if stats['config'].get('split_by') == 'function' else ''}; of a task's rows no "
            "text is in two. A split without rows has no files.",
        ),
        ("Are there errors or noise?", _errors(stats)),
        (
            "Does it rely on anything outside?",
            "To replay a row its repository at its version is needed (`requires`, `setup`); to read it, nothing."
            if not _is_synthetic(stats)
            else "No.",
        ),
        ("Does it hold what is confidential, offensive, or of persons?", _personal(stats)),
    ]


def _drops(stats: Stats) -> str:
    drops = stats["drops"]
    if not drops:
        return "No snippet was dropped."
    first = "; ".join(f"`{word}` {count}: {drop_sentence(word)}" for word, count in [*drops.items()][:5])
    return (
        f"Snippets that gave no row are counted by reason, each with evidence in `errors.jsonl`. The commonest: {first}"
    )


def _errors(stats: Stats) -> str:
    if _is_synthetic(stats):
        return "Two computations of the belief agree to 1e-12 in the tests of trace-mine; nothing was run."
    return f"{_sentence(verification_sentence(stats))} {_sentence(frames_sentence(stats))} Nothing was checked by hand."


def _personal(stats: Stats) -> str:
    if _is_synthetic(stats):
        return "No: all text is generated."
    return (
        f"Source code of others is quoted as it stands, names of its authors in prose too. "
        f"{_sentence(cleaning_sentence(stats))} Code was not searched for what may offend."
    )


def _collection(stats: Stats) -> Answers:
    how = (
        "Drawn by a seeded generator from a task's automaton; row i depends on parameters, seed, split and i alone."
        if _is_synthetic(stats)
        else "Snippets were found by syntax and by pytest, run in a sandbox without network, and written down by a "
        "tracer that checks each session against a native run and has other processes print it again."
    )
    return [
        ("How was it collected, and checked?", how),
        ("By which command?", f"`{in_code(command_of(stats['config']))}`"),
        ("By which versions?", versions_sentence(stats)),
        ("Who took part, and were they paid?", "No person took part: a program wrote it."),
        (
            "Over what time?",
            "Rows name the version or commit of their repository; when the command ran is not recorded, so "
            "that the same inputs give the same bytes.",
        ),
        (
            "Were there ethical reviews, notice or consent?",
            "None by the program. The sources are public code under the licences below, or what the user named.",
        ),
    ]


def _preprocessing(stats: Stats) -> Answers:
    if _is_synthetic(stats):
        done = "Texts that came twice were left out."
    else:
        kinds = ", ".join(f"{name} {count}" for name, count in stats["duplicates_by_kind"].items()) or "none"
        done = (
            f"Duplicates were left out ({kinds}); values that are secret or personal were replaced before code ran "
            "unless it says otherwise above; outputs that differ between runs are not shown."
        )
    return [
        ("Was it preprocessed, cleaned or labelled?", done),
        (
            "Is the raw data kept?",
            "`events` has each native run event by event; sources stay where they were published.",
        ),
        ("Is the software available?", "trace-mine, under the MIT licence."),
    ]


def _uses() -> Answers:
    return [
        ("What is it used for?", UNKNOWN),
        (
            "What else could it be used for?",
            "Code world models, prediction of outputs, probes of state, calibration of "
            "beliefs (`uncertain`); `trace-mine export` writes the formats of other projects.",
        ),
        (
            "What should it not be used for?",
            "As a measure of code generation: problems of benchmarks are left out only where "
            "they were named. As proof of what a program does everywhere: a row is what one interpreter did in a "
            "sandbox.",
        ),
    ]


def _distribution(stats: Stats) -> Answers:
    licences = ", ".join(f"{in_markdown(name)} {count}" for name, count in stats["by_licence"].items()) or "no rows"
    return [
        (
            "How is it distributed?",
            "As Parquet with a card, Croissant metadata and this page; `trace-mine push` uploads it "
            "to the Hugging Face Hub.",
        ),
        (
            "Under which terms?",
            f"Each row is under the licence of its source (`licence`, SPDX): {licences}. A publisher "
            "keeps the notices that these ask for.",
        ),
        ("Are there export controls or other restrictions?", UNKNOWN),
    ]


def _maintenance() -> Answers:
    return [
        ("Who maintains it, and where are errors told?", UNKNOWN),
        (
            "Will it be updated?",
            "The command above, given again, does the units of changed repositories again. The version in "
            "the card is a hash of the content.",
        ),
        (
            "Can others extend it?",
            "`trace-mine merge` joins datasets of the same options; duplicates and splits are then those of all rows.",
        ),
    ]


def in_code(text: str) -> str:
    """A line of ours for Markdown's code within a line: backticks, which end it, as escapes."""
    return text.replace("`", "\\x60") or " "


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]
