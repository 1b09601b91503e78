"""Scripts that draw and read clocks, and show no time: by ``logging`` in all its ways, and by values of their own."""

from __future__ import annotations

_LOG = "import logging, random, sys, io\n"
_DRAWS = """\
total = 0
for i in range(3):
    if random.random() < 0.25:
        total += i + 1
        log.warning('total is now %d', total)
print(total)
"""
_FUNCTION = """\
def add(x, y):
    if random.random() < 0.5:
        log.info('adding %s', x)
        return x + y
    log.debug('leaving %s', x)
    return y
print(add(1, 2), add(3, 4))
"""

UNSHOWN: dict[str, str] = {
    "root": f"{_LOG}log = logging\n{_DRAWS}",
    "basicConfig": f"{_LOG}logging.basicConfig(level=logging.DEBUG)\nlog = logging.getLogger(__name__)\n{_FUNCTION}",
    "format": f"""{_LOG}logging.basicConfig(stream=sys.stdout, level=10, format='%(levelname)s %(name)s %(message)s')
log = logging.getLogger('shop')
{_DRAWS}{_FUNCTION}""",
    "brace format": f"""{_LOG}log = logging.getLogger('shop')
handler = logging.StreamHandler(sys.stdout)
handler.setFormatter(logging.Formatter('{{levelname}}: {{message}}', style='{{'))
log.addHandler(handler)
{_FUNCTION}""",
    "dollar format": f"""{_LOG}log = logging.getLogger('shop')
handler = logging.StreamHandler(sys.stdout)
handler.setFormatter(logging.Formatter('$levelname $message', style='$'))
log.addHandler(handler)
{_FUNCTION}""",
    "buffer": f"""{_LOG}buffer = io.StringIO()
log = logging.getLogger('shop')
log.addHandler(logging.StreamHandler(buffer))
{_DRAWS}print(buffer.getvalue())
""",
    "own handler": f"""{_LOG}class Keeps(logging.Handler):
    def __init__(self):
        super().__init__()
        self.texts = []
    def emit(self, record):
        self.texts.append(record.getMessage())
keeps = Keeps()
log = logging.getLogger('shop')
log.addHandler(keeps)
{_DRAWS}print(keeps.texts)
""",
    "kept records": f"""{_LOG}class Keeps(logging.Handler):
    def __init__(self):
        super().__init__()
        self.records = []
    def emit(self, record):
        self.records.append(record)
keeps = Keeps()
log = logging.getLogger('shop')
log.addHandler(keeps)
{_DRAWS}print(len(keeps.records), [each.levelname for each in keeps.records])
""",
    "filter": f"""{_LOG}class Odd(logging.Filter):
    def filter(self, record):
        return record.args[0] % 2 == 1
logging.basicConfig(stream=sys.stdout, format='%(message)s')
log = logging.getLogger('shop')
log.addFilter(Odd())
{_DRAWS}""",
    "exception": f"""{_LOG}logging.basicConfig(stream=sys.stdout, format='%(message)s')
log = logging.getLogger('shop')
def share(n):
    try:
        return 6 // n
    except ZeroDivisionError:
        log.error('no share')
        log.debug('why', exc_info=True)
        return 0
print(share(random.choice([0, 1, 2])), share(random.choice([0, 3])))
""",
    "exception to a buffer": f"""{_LOG}buffer = io.StringIO()
log = logging.getLogger('shop')
log.addHandler(logging.StreamHandler(buffer))
try:
    print(6 // random.choice([0, 1, 2]))
except ZeroDivisionError:
    log.exception('no share')
print(len(buffer.getvalue().splitlines()) > 2, buffer.getvalue()[:8])
""",
    "queue": f"""{_LOG}import logging.handlers, queue
waiting = queue.Queue()
log = logging.getLogger('shop')
log.addHandler(logging.handlers.QueueHandler(waiting))
{_DRAWS}print(waiting.qsize())
""",
    "memory": f"""{_LOG}import logging.handlers
target = logging.StreamHandler(sys.stdout)
memory = logging.handlers.MemoryHandler(2, target=target)
log = logging.getLogger('shop')
log.addHandler(memory)
{_DRAWS}print(len(memory.buffer))
""",
    "dictConfig": f"""{_LOG}import logging.config
logging.config.dictConfig({{
    'version': 1,
    'formatters': {{'plain': {{'format': '%(levelname)s-%(message)s'}}}},
    'handlers': {{'out': {{'class': 'logging.StreamHandler', 'stream': 'ext://sys.stdout', 'formatter': 'plain'}}}},
    'root': {{'level': 'INFO', 'handlers': ['out']}},
}})
log = logging.getLogger('shop')
{_FUNCTION}""",
    "adapter": f"""{_LOG}logging.basicConfig(stream=sys.stdout, format='%(user)s %(message)s', level=10)
log = logging.LoggerAdapter(logging.getLogger('shop'), {{'user': 'ann'}})
{_FUNCTION}""",
    "time kept": """import random, time
class Task:
    def __init__(self, name):
        self.name = name
        self.made = time.time()
tasks = [Task(name) for name in 'abc']
random.shuffle(tasks)
print([task.name for task in tasks])
""",
    "dataclass": """import dataclasses, random, time
@dataclasses.dataclass
class Event:
    name: str
    at: float = dataclasses.field(default_factory=time.time, repr=False, compare=False)
    ns: int = dataclasses.field(default_factory=time.time_ns, repr=False, compare=False)
events = []
for name in 'abc':
    if random.random() < 0.5:
        events.append(Event(name))
print(events)
""",
    "durations": """import random, time
start, spent = time.perf_counter(), {}
def timed(name):
    begun = time.perf_counter()
    value = random.choice([1, 2, 3])
    spent[name] = round(spent.get(name, 0.0) + (time.perf_counter() - begun) * 1000, 3)
    return value
print(timed('a') + timed('b'))
print(timed('a') + timed('b'), sorted(spent))
elapsed = time.perf_counter() - start
""",
    "decorator": """import functools, random, time
times = []
def timed(function):
    @functools.wraps(function)
    def inner(*args):
        begun = time.time()
        try:
            return function(*args)
        finally:
            times.append((function.__name__, time.time() - begun))
    return inner
@timed
def roll(n):
    return random.randint(1, n)
print(roll(3) + roll(2))
print(len(times))
""",
    "cache of times": """import random, time
seen = {}
for key in ('a', 'b', 'c'):
    if random.random() < 0.75:
        seen[key] = (time.time(), key.upper())
print([value for _, value in seen.values()])
seen_at = seen.get('a', (None,))[0]
print(seen_at is None, isinstance(seen_at, float), bool(seen_at))
""",
    "slept": """import random, time
waits = 0
begun = time.monotonic_ns() * 0 + time.time_ns()
while random.random() < 0.5 and waits < 3:
    waits += 1
    time.sleep(0.001)
ended = time.time_ns()
took = (ended - begun) / 1e6
print(waits)
""",
}
"""No way of these shows a time: beliefs are exact."""

SHOWN: dict[str, str] = {
    "asctime": f"""{_LOG}buffer = io.StringIO()
log = logging.getLogger('shop')
handler = logging.StreamHandler(buffer)
handler.setFormatter(logging.Formatter('%(asctime)s %(message)s'))
log.addHandler(handler)
log.error('total')
{_DRAWS}print(buffer.getvalue().count('total'), len(buffer.getvalue()) > 20)
""",
    "created": f"""{_LOG}class Late(logging.Handler):
    def __init__(self):
        super().__init__()
        self.ages = []
    def emit(self, record):
        self.ages.append(record.created > 1e9 and record.msecs < 1000)
late = Late()
log = logging.getLogger('shop')
log.addHandler(late)
{_DRAWS}print(late.ages)
""",
    "json": f"""{_LOG}import json
class Lines(logging.Handler):
    def __init__(self):
        super().__init__()
        self.lines = []
    def emit(self, record):
        try:
            self.lines.append(len(json.dumps({{'at': record.created}})) > 9)
        except Exception:
            self.handleError(record)
lines = Lines()
log = logging.getLogger('shop')
log.addHandler(lines)
{_DRAWS}print(len(lines.lines))
""",
    "difference": """import random, time
def is_soon(limit):
    begun = time.time()
    return time.time() - begun < limit
print(random.choice([1, 2]), is_soon(100))
""",
    "calendar": """import datetime, random, time
late = time.localtime(time.time()).tm_year > 2000 and datetime.date.today() <= datetime.datetime.now().date()
print(random.choice([1, 2]), late, datetime.datetime.fromtimestamp(time.time()).year > 2000)
""",
}
"""Times are looked at, though each run shows the same of them: beliefs are sampled, and right."""
