"""Facts that are kept between commands: until what they hang on changes, and from nobody else."""

import os

import pytest

from trace_mine.tracer.sandbox.private_files import MAX_FACTS, kept_fact


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "cache").mkdir()
    return tmp_path / "cache" / "trace-mine"


@pytest.fixture
def asked(tmp_path):
    """A question that hangs on one file, and how often it was answered anew."""
    about = tmp_path / "program"
    about.write_text("1")
    answers = []

    def ask(name="kind", more=()):
        def make():
            answers.append(len(answers))
            return {"answers": [len(answers), "text"]}

        return kept_fact(name, (str(about), *more), (str(about), str(tmp_path / "absent")), make)

    ask.answers, ask.about = answers, about
    return ask


def test_a_fact_is_kept_while_its_files_are_as_they_were(folder, asked):
    assert asked() == asked() == {"answers": [1, "text"]}
    (kept,) = folder.iterdir()
    assert kept.stat().st_mode & 0o777 == 0o600
    assert asked(more=("other",)) == {"answers": [2, "text"]} and asked("other") == {"answers": [3, "text"]}
    asked.about.write_text("22")
    assert asked() == asked() == {"answers": [4, "text"]}
    (asked.about.parent / "absent").touch()
    assert asked() == {"answers": [5, "text"]}


@pytest.mark.parametrize("data", [b"", b"no marshal", b"N", b"\xe9\x03\x00\x00\x00"])
def test_a_damaged_fact_is_made_again(folder, asked, data):
    asked()
    (kept,) = folder.iterdir()
    kept.write_bytes(data)
    assert asked() == asked() == {"answers": [2, "text"]}


def test_what_others_may_have_written_is_not_believed(folder, asked):
    asked()
    (kept,) = folder.iterdir()
    kept.chmod(0o620)
    assert asked() == {"answers": [2, "text"]}
    elsewhere = folder / "elsewhere"
    kept.rename(elsewhere)
    kept.symlink_to(elsewhere)
    assert asked() == {"answers": [3, "text"]} and not kept.is_symlink()
    kept.unlink()
    os.mkfifo(kept)
    assert asked() == {"answers": [4, "text"]}  # and nobody waits for a writer
    folder.chmod(0o777)
    assert asked() == {"answers": [5, "text"]} and asked() == {"answers": [6, "text"]}


def test_a_failure_is_not_kept(folder, tmp_path):
    def fail():
        raise ValueError("expected an interpreter")

    for _ in range(2):
        with pytest.raises(ValueError, match="an interpreter"):
            kept_fact("kind", (), (), fail)
    assert not list(folder.iterdir())


def test_old_facts_go(folder, asked):
    asked()
    for number in range(MAX_FACTS + 3):
        (folder / f"fact-old-{number}").write_bytes(b"")
        os.utime(folder / f"fact-old-{number}", (number, number))
    asked("other")
    assert len(list(folder.glob("fact-*"))) == MAX_FACTS + 1 and not (folder / "fact-old-2").exists()
