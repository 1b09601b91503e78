"""Files: reading, writing, links, disk, and what one run leaves for the next."""

from __future__ import annotations

import os


def test_host_files_cannot_be_read(target, public_folder):
    secret = public_folder / "secret"
    secret.write_text("planted-secret")
    outcome = target.run(f"""
import os
for path in [{str(secret)!r}, "/proc/self/environ", "/proc/1/environ", "/etc/shadow", "/etc/hostname", "/root/.bashrc"]:
    try:
        print(open(path).read())
    except OSError as error:
        print("refused", error.errno)
    try:
        print(os.readlink(path), os.listdir(os.path.dirname(path)))
    except OSError:
        pass
""")
    assert outcome.stdout.count(b"refused") == 6
    assert b"planted" not in outcome.stdout


def test_nothing_can_be_written_outside(target, public_folder):
    (public_folder / "victim").write_text("before")
    (public_folder / "victim").chmod(0o666)
    if target.supervisor != os.getpid():  # a file of the jail's own user: only the layers keep it from chmod and utime
        os.chown(public_folder / "victim", target.owner, -1)
    outcome = target.run(f"""
import os
folder = {str(public_folder)!r}
places = [folder, "/", "/tmp/..", "/var/tmp", "/dev/shm", "/etc", "/proc/self", os.path.dirname(os.__file__)]
calls = [lambda p: open(p, "w"), lambda p: os.mkdir(p), lambda p: os.symlink("x", p), lambda p: os.mkfifo(p)]
done = 0
for place in places:
    for call in calls:
        try:
            call(place + "/trace-mine-attack"); done += 1
        except OSError:
            pass
victim = folder + "/victim"
for call in (lambda: open(victim, "a"), lambda: os.truncate(victim, 0), lambda: os.unlink(victim),
             lambda: os.chmod(victim, 0), lambda: os.utime(victim, (0, 0)), lambda: os.rename(victim, "here"), lambda:
             os.link(victim, "here")):
    try:
        call(); done += 1
    except OSError:
        pass
print(done)
""")
    assert outcome.stdout == b"0\n", outcome
    assert (public_folder / "victim").read_text() == "before"
    assert (public_folder / "victim").stat().st_mode & 0o777 == 0o666
    assert os.listdir(public_folder) == ["victim"]


def test_links_do_not_lead_out(target, public_folder):
    (public_folder / "secret").write_text("planted-secret")
    outcome = target.run(f"""
import os
os.symlink({str(public_folder)!r}, "out")
os.symlink("/", "root")
os.symlink("loop", "loop")
for path, mode in (("out/secret", "r"), ("out/trace-mine-attack", "w"), ("root/etc/shadow", "r"), ("loop", "r")):
    try:
        print(open(path, mode).read())
    except OSError:
        print("refused")
try:
    os.link({str(public_folder / "secret")!r}, "hard", follow_symlinks=False); print("linked")
except OSError:
    print("refused")
""")
    assert outcome.stdout == b"refused\n" * 5
    assert os.listdir(public_folder) == ["secret"]


def test_disk_is_bounded(target):
    outcome = target.run("""
import os
written = 0
try:
    for number in range(64):
        with open(f"f{number}", "wb", buffering=0) as file:
            written += file.write(bytes(1 << 20))
except OSError as error:
    print("refused", error.errno)
import time
time.sleep(3 if written > (16 << 20) else 0)  # where the limit is polled, the kill comes a moment later
""")
    full = outcome.status == "ok" and outcome.stdout.startswith(b"refused 28")
    assert full or outcome.status == "disk-limit", outcome
    assert full or target.level == 2


def test_one_file_is_bounded(target):
    outcome = target.run("""
with open("big", "wb", buffering=0) as file:
    try:
        while file.write(bytes(1 << 20)): pass
    except OSError as error:
        print(error.errno, file.tell() <= 4 << 20)
""")
    assert outcome.stdout == b"27 True\n"


def test_number_of_files_is_bounded(target):
    outcome = target.run("""
import os, time
try:
    for number in range(5000):
        os.close(os.open(str(number), os.O_CREAT))
except OSError as error:
    print("refused", error.errno)
else:
    time.sleep(3)
""", events=10**9, cpu_seconds=10, wall_seconds=20)  # fmt: skip  # 5,000 files take over a second on a slow disk
    assert outcome.stdout == b"refused 28\n" or (target.level == 2 and outcome.status == "disk-limit"), outcome


def test_deep_and_unreadable_folders_are_cleaned_up(target):
    restarts = target._worker.restarts if target.supervisor == os.getpid() else 0
    outcome = target.run("""
import os
os.mkdir("locked"); os.mkdir("locked/inner", 0o000); os.close(os.open("locked/file", os.O_CREAT, 0o000))
try:
    for depth in range(1500):
        os.mkdir("d" * 100); os.chdir("d" * 100)
except OSError as error:
    print(error.errno)
print("deep")
""", events=10**9)  # fmt: skip
    assert b"deep" in outcome.stdout or outcome.status == "disk-limit", outcome
    if target.supervisor == os.getpid():
        # an init that can't empty the scratch dies, and another jail would hide that from the next run
        assert target.run("print('next')").stdout == b"next\n" and target._worker.restarts == restarts


def test_scratch_is_not_shared_between_runs(target):
    first = target.run("open('note', 'w').write('from the first'); import os; print(os.listdir('.'))")
    second = target.run("import os; print(os.listdir('.'))")
    assert (first.stdout, second.stdout) == (b"['note']\n", b"[]\n")
