# ruff: noqa: E501  an attack reads best in the fewest lines
"""Attacks on the grader, as data: what a submission may try, each under the name of what it tries.

`VALUES` are answers that send something else than a right value. `PROBES` look for what a student must not see. `FORGERIES` stand
in a cell of the student's own, above wrong answers, and try to earn points for them. `HANGS` and `SABOTAGE` are answers to exercise
1 that break things; exercise 2 is right and must keep its points, and so must the next student. `FILES` are no notebooks.
"""

import gzip
import pickle

VALUES = {
    "nothing": "def f(x): return None",
    "nan everywhere": "def f(x): return x * float('nan')",
    "infinity": "def f(x): return x * 0 + float('inf')",
    "a scalar to broadcast": "def f(x): return 1",
    "an empty array": "def f(x): return x[:0]",
    "an array of one more dimension": "def f(x): return (x + 1)[None]",
    "text": "def f(x): return '[1.0, 2.0, 3.0]'",
    "a dict": "def f(x): return {'0': 1.0, '1': 2.0, '2': 3.0}",
    "a generator": "def f(x): return (v + 1 for v in x)",
    "a coroutine": "async def f(x): return x + 1",
    "complex numbers": "def f(x): return x + 1 + 0j",
    "objects": "def f(x): return np.array([1.0, 2.0, 3.0], dtype=object)",
    "dates": "def f(x): return np.array([1, 2, 3], dtype='datetime64[D]')",
    "always equal": (
        "class Equal:\n"
        "    def __eq__(self, other): return True\n"
        "    def __ne__(self, other): return False\n"
        "    def __array__(self, *_, **__): return np.zeros(3)\n"
        "def f(x): return Equal()"
    ),
    "an array that lies about its list": (
        "class Liar(np.ndarray):\n    def tolist(self): return 'inf'\n    shape = (3,)\ndef f(x): return np.zeros(3).view(Liar)"
    ),
    "an array whose list is a list of lists": (
        "class Liar(np.ndarray):\n    def tolist(self): return [[], [], []]\ndef f(x): return np.zeros(3).view(Liar)"
    ),
    "a tensor that is none": (
        "class Fake:\n"
        "    def detach(self): return self\n"
        "    def cpu(self): return self\n"
        "    def numpy(self): return {'dtype': 'float64'}\n"
        "def f(x): return Fake()"
    ),
    "a value that changes": (
        "class Moody:\n"
        "    asked = 0\n"
        "    def __array__(self, *_, **__):\n"
        "        Moody.asked += 1\n"
        "        return np.full(3, float(Moody.asked))\n"
        "def f(x): return Moody()"
    ),
    "a class that claims to be another": (
        "class Claims:\n"
        "    @property\n"
        "    def __class__(self): return np.ndarray\n"
        "    dtype, size, shape = np.dtype(float), 3, (3,)\n"
        "def f(x): return Claims()"
    ),
    "a mapping without end": (
        "import collections.abc, itertools\n"
        "class Endless(collections.abc.Mapping):\n"
        "    def __len__(self): return 3\n"
        "    def __iter__(self): return iter('abc')\n"
        "    def __getitem__(self, key): return Endless() if key == 'z' else key\n"
        "def f(x): return Endless()"
    ),
    "a list within itself": "def f(x):\n    a = []\n    a.append(a)\n    return a",
    "deep nesting": "def f(x):\n    a = 1.0\n    for _ in range(900): a = [a, 'x']\n    return a",
    "a whole number of 400 digits": "def f(x): return 10**400",
    "a long text": "def f(x): return 'x' * 10**7",
    "too many numbers": "def f(x): return np.zeros(10**6)",
    "the visible example, hard-coded": "def f(x): return np.array([11.0, 21.0])",
    "the answer of before": "seen = []\ndef f(x):\n    seen.append(x + 1)\n    return seen[0] * 0 + 2",
    "the right value, but twice": "def f(x):\n    check.value(x + 1)\n    return x + 1",
    "the right value beforehand": "check.value(np.arange(3.0) + 1)\ndef f(x): return x * 0",
    "the right value, but then an error": "def f(x):\n    check.value(x + 1)\n    raise ValueError",
    "no error and no value": "import sys\ndef f(x): sys.exit(0)",
    "quit": "def f(x): exit(0)",
    "an interrupt": "def f(x): raise KeyboardInterrupt",
    "an exception without a text": (
        "class Silent(Exception):\n"
        "    def __str__(self): raise self\n"
        "    __repr__ = __str__\n"
        "    def _render_traceback_(self): return 7\n"
        "def f(x): raise Silent"
    ),
    "an error of a strange name": "def f(x): raise type('é<b>&' * 999, (Exception,), {})('x' * 10**6)",
    "recursion": "def f(x): return f(x)",
    "a question": "def f(x): return float(input('what is it? '))",
    "a debugger": "def f(x):\n    breakpoint()\n    return x * 0",
    "an event loop in the event loop": "import asyncio\ndef f(x):\n    return asyncio.run(asyncio.sleep(0, x * 0))",
    "a nested cell": "def f(x):\n    get_ipython().run_cell('check.value(0.0)')\n    return x * 0",
    "no display after all": "from IPython.display import clear_output\ndef f(x):\n    clear_output()\n    return x * 0",
    "an updated display": (
        "from IPython.display import display\n"
        "from labkit.course.compare import bundle, encode\n"
        "def f(x):\n"
        "    display(bundle(encode(x + 1)), raw=True, display_id='v', update=True)\n"
        "    return x * 0"
    ),
    "a skipped cell": "# NBVAL_SKIP\n#NBVAL_RAISES_EXCEPTION\n# PYTEST_VALIDATE_IGNORE_OUTPUT\ndef f(x): raise ValueError",
    "another language": "%%script false\ndef f(x): return x + 1",
    "half a character": "s = '\\ud800'\ndef f(x): return s",
    "a null byte": "\0\ndef f(x): return x + 1",
    "no Python": "def f(x:",
}

PROBES = {
    "solutions anywhere": """
def probe():
    return [p for p in everything() if p.endswith(('.ipynb', 'solutions', 'submissions', 'expected.json'))]""",
    "the folders of the real course": """
def probe():
    here = [COURSE, SUBMISSIONS, OUT]
    return [p for p in here if os.path.exists(p)]""",
    "labkit with its answers": """
def probe():
    files = [p for p in everything() if p.endswith(('labkit/data/features.py', '.pyc')) and '/labkit/' in p]
    return [p for p in files if p.endswith('.pyc') or 'not available while exercises are graded' not in open(p).read()]""",
    "the grader's own code": """
def probe():
    return [p for p in everything() if p.endswith(('grading/runner.py', 'grading/rebuild.py', 'grading/one.py'))]""",
    "the zygote's environment and memory": """
def probe():
    return [name for name in ('environ', 'mem', 'maps', 'fd/0', 'root/etc', 'cwd/') if readable(f'/proc/{os.getppid()}/{name}')]""",
    "other processes": """
def probe():
    return [p for p in os.listdir('/proc') if p.isdigit() and int(p) not in (os.getpid(), os.getppid())]""",
    "the environment": """
def probe():
    return [k for k in os.environ if re.search('KEY|TOKEN|SECRET|PASS|SUBMI|SOLUT', k)]""",
    "a connection file": """
def probe():
    return [p for p in everything() if 'kernel-' in p and p.endswith('.json') or p.endswith('jupyter_cookie_secret')]""",
    "open files": """
def probe():
    links = [os.readlink(f'/proc/self/fd/{n}') for n in os.listdir('/proc/self/fd') if os.path.lexists(f'/proc/self/fd/{n}')]
    return [link for link in links if not link.startswith(('socket:', 'anon_inode:', 'pipe:', '/dev/', '/proc/'))]""",
    "expected values in memory": """
def probe():
    import gc
    names = {'Sheet', 'Cell', 'SheetCell', 'Job', 'Outcome', 'NotebookNode'}
    return [type(o).__name__ for o in gc.get_objects() if type(o).__name__ in names and 'expected' in dir(o)]""",
    "modules of the grader": """
def probe():
    taken = ('runner', 'rebuild', 'nbval', 'one', 'batch', 'submission')
    return [m for m in sys.modules if m.rpartition('.')[2] in taken and ('grading' in m or m == 'nbval')]""",
    "check sources in the caller's frames": """
def probe():
    import inspect
    return [f.filename for f in inspect.stack() if f.code_context and 'ex1-check' in ''.join(f.code_context)]""",
    "the network": """
def probe():
    found = []
    for address in (('1.1.1.1', 53), ('127.0.0.1', 8786), ('127.0.0.1', 8888)):
        with socket.socket() as s:
            s.settimeout(0.2)
            if s.connect_ex(address) == 0:
                found.append(address)
    return found + [name for _, name in socket.if_nameindex() if name != 'lo']""",
    "sockets of the grader": """
def probe():
    names = open('/proc/net/unix').read().split()
    return [name for name in names if name.startswith('/') or name.startswith('@')]""",
    "a shell for root": """
def probe():
    powers = 'CapEff:\\t0000000000000000' not in open('/proc/self/status').read()
    return ['root'] if os.getuid() == 0 or os.geteuid() == 0 or powers else []""",
    "a user namespace of its own": """
def probe():
    return [] if ctypes.CDLL(None, use_errno=True).unshare(0x10000000) else ['unshare']""",
    "to trace the zygote": """
def probe():
    return [] if ctypes.CDLL(None, use_errno=True).ptrace(16, os.getppid(), 0, 0) else ['ptrace']""",
    "to write to the zygote": """
def probe():
    try:
        os.open(f'/proc/{os.getppid()}/mem', os.O_RDWR)
        return ['mem']
    except OSError:
        return []""",
    "to write where Python reads": """
def probe():
    import site
    places = [*site.getsitepackages(), os.path.dirname(os.__file__), sys.prefix]
    return [p for p in (*places, '/labkit', '/labkit/labkit', '/usr', '/etc', '/', '/dev') if writable(p)]""",
    "to write to the data of the course": """
def probe():
    return [p for p in (os.environ.get('LABKIT_DATA', '/nowhere'),) if writable(p)]""",
    "what the last one left": """
def probe():
    left = [os.path.join(at, name) for at in ('/tmp', '/dev/shm', '/var/tmp', '/run/user') if os.path.isdir(at) for name in os.listdir(at)]
    return [p for p in left if 'matplotlib' not in p and 'ipython' not in p]""",
    "memory that outlives it": """
def probe():
    calls = {'memfd_create': (b'x', 0), 'shmget': (0, 4096, 0o1666), 'semget': (0, 1, 0o1666), 'msgget': (0, 0o1666)}
    libc = ctypes.CDLL(None, use_errno=True)
    return [name for name, arguments in calls.items() if getattr(libc, name)(*arguments) >= 0]""",
    "a key that outlives it": """
def probe():
    return [] if ctypes.CDLL(None, use_errno=True).syscall(248, b'user', b'x', b'x', 1, -4) < 0 else ['add_key']""",
}

PROBE = """\
import ctypes, os, re, socket, sys
def everything():
    for at, folders, files in os.walk('/'):
        folders[:] = [f for f in folders if at != '/' or f not in ('proc', 'sys', 'usr')]
        if 'lib/python' in at and 'labkit' not in at:
            folders[:] = [f for f in folders if f == 'site-packages' or 'labkit' in f]
        yield from (os.path.join(at, name) for name in folders + files)
def readable(path):
    try:
        return bool(os.listdir(path) if os.path.isdir(path) else open(path, 'rb').read(10))
    except OSError:
        return False
def writable(folder):
    try:
        with open(os.path.join(folder, 'x.pth'), 'w'):
            return True
    except OSError:
        return False
found = {}
for name, code in PROBES.items():
    try:
        exec(code, globals())
        if seen := probe():
            found[name] = str(seen[:4])
    except Exception as error:
        found[name] = repr(error)
raise RuntimeError(f'{len(PROBES)} looked, found {found or "nothing"}')
"""

FORGERIES = {
    "strips the syntax tree": """
import ast
class Strip(ast.NodeTransformer):
    def visit_Expr(self, node): return ast.Pass()
get_ipython().ast_transformers.append(Strip())""",
    "rewrites the cells": """
get_ipython().input_transformers_post.append(lambda lines: ['pass\\n'])""",
    "runs no cell": """
from IPython.core.interactiveshell import ExecutionResult
async def nothing(*_, **__):
    result = ExecutionResult(None)
    result.result = None
    return result
type(get_ipython()).run_cell_async = nothing""",
    "sends before each cell": """
get_ipython().events.register('pre_run_cell', lambda *_: check.value(77.0))
get_ipython().events.register('pre_execute', lambda *_: check.value(77.0))""",
    "sends after each cell": """
get_ipython().events.register('post_run_cell', lambda *_: check.value(77.0))
get_ipython().events.register('post_execute', lambda *_: check.value(77.0))""",
    "sends another value": """
from labkit.course.compare import bundle, encode
send = check.publish
check.publish = lambda data: send(bundle(encode(77.0)))""",
    "sends no value": "check.value = lambda x: None",
    "encodes to what equals all": """
from labkit.course import compare
class Equal(dict):
    __eq__ = lambda self, other: True
    __ne__ = lambda self, other: False
check.encode = compare.encode = lambda value: Equal(dtype='float64', shape=[], values=float('nan'))
compare.difference = check.difference = lambda *_, **__: ''
compare.verdict = lambda *_, **__: ''""",
    "sends an empty list for all shapes": """
from IPython.display import display
from labkit.course.compare import encode
def publish(value):
    payload = {**encode(value), 'values': []}
    display({'application/vnd.labkit.value+json': payload, 'text/plain': 'value'}, raw=True)
check.value = publish""",
    "sends truth for numbers": """
from IPython.display import display
check.value = lambda x: display({'application/vnd.labkit.value+json': True}, raw=True)""",
    "patches numpy": """
np.asarray = np.array = np.isclose = lambda *_, **__: np.ones(1)
np.testing.assert_allclose = lambda *_, **__: None
np.allclose = lambda *_, **__: True""",
    "patches json": """
import json, json.encoder
json.dumps = lambda *_, **__: '{"dtype": "float64", "shape": [], "values": 1.0}'""",
    "patches IPython.display": """
import IPython.display, IPython.core.display_functions
IPython.display.display = IPython.core.display_functions.display = lambda *_, **__: None""",
    "replaces the display publisher": """
pub = get_ipython().display_pub
pub.register_hook(lambda message: message['content']['data'].clear() or message) if hasattr(pub, 'register_hook') else None""",
    "replaces the display hook": "import sys\nsys.displayhook = get_ipython().displayhook.__class__.__call__ = lambda *_: None",
    "is another module": """
import sys, types
fake = types.ModuleType('labkit.course.check')
fake.value = fake.close = fake.equal = fake.true = lambda *_, **__: None
sys.modules['labkit.course.check'] = fake
check = sys.modules['labkit.course'].check = fake""",
    "hooks the import": """
import builtins, sys, types
class Finder:
    def find_spec(self, name, path=None, target=None):
        if name.startswith('labkit'):
            raise ImportError(name)
sys.meta_path.insert(0, Finder())
for name in [name for name in sys.modules if name.startswith('labkit')]:
    del sys.modules[name]""",
    "deletes check": "del check\n__builtins__.check = None",
    "sends from a thread": """
import threading, time
def send():
    while True:
        check.value(77.0)
        time.sleep(0.01)
threading.Thread(target=send, daemon=True).start()""",
    "sends from an alarm": """
import signal
signal.signal(signal.SIGALRM, lambda *_: check.value(77.0))
signal.setitimer(signal.ITIMER_REAL, 0.02, 0.02)""",
    "sends from a trace": """
import sys
def trace(frame, event, argument):
    if frame.f_code.co_name == 'value' and event == 'call':
        frame.f_locals['x'] = 77.0
    return trace
sys.settrace(trace)
sys.setprofile(trace)""",
    "sends when it ends": "import atexit\natexit.register(check.value, 77.0)",
    "sends when an object dies": """
class Last:
    def __del__(self): check.value(77.0)
    def __repr__(self): return str(check.value(77.0))
Last()""",
    "answers the request itself": """
import threading, time
kernel = get_ipython().kernel
def answer():
    while True:
        parent = kernel.get_parent()
        try:
            kernel.session.send(kernel.iopub_socket, 'status', {'execution_state': 'idle'}, parent=parent)
            kernel.session.send(kernel.shell_stream, 'execute_reply', {'status': 'ok', 'execution_count': 1}, parent=parent,
                                ident=kernel._parent_ident['shell'])
        except Exception:
            pass
        time.sleep(0.05)
threading.Thread(target=answer, daemon=True).start()""",
    "answers the next request beforehand": """
kernel = get_ipython().kernel
parent = kernel.get_parent()
from labkit.course.compare import bundle, encode
head, _, count = parent['header']['msg_id'].rpartition('_')
for n in range(int(count), int(count) + 20):
    forged = {'header': {**parent['header'], 'msg_id': f'{head}_{n}'}}
    for kind, content in (('display_data', {'data': bundle(encode(77.0)), 'metadata': {}}), ('status', {'execution_state': 'idle'})):
        kernel.session.send(kernel.iopub_socket, kind, content, parent=forged)
    kernel.session.send(kernel.shell_stream, 'execute_reply', {'status': 'ok'}, parent=forged, ident=kernel._parent_ident['shell'])""",
    "sends what is no message": """
kernel = get_ipython().kernel
parent = kernel.get_parent()
mime = 'application/vnd.labkit.value+json'
junk = ({}, [], None, 3, {'data': 3}, {'data': {mime: 3}}, {'data': {mime: {'dtype': [], 'shape': {}, 'values': None}}},
        {'data': {mime: {'dtype': 'float64', 'shape': [10**9] * 9, 'values': []}}}, {'data': {mime: {}}, 'metadata': 'x'},
        {'ename': 3}, {'ename': 'x', 'evalue': 'y', 'traceback': 'z'}, {'execution_state': {}})
for kind in ('display_data', 'execute_result', 'status', 'error', 'stream', 'clear_output', 'input_request', 'comm_open', '', None):
    for content in junk:
        try:
            kernel.session.send(kernel.iopub_socket, kind, content, parent=parent)
        except Exception:
            pass
for frames in ([b'x'], [b'<IDS|MSG>', b'', b'{', b'[', b'', b''], [b'<IDS|MSG>', b'', b'[' * 5000, b'[' * 5000, b'', b'']):
    kernel.iopub_thread.send_multipart(frames)""",
    "sends deep and wide JSON": """
kernel = get_ipython().kernel
session, mime = kernel.session, b'application/vnd.labkit.value+json'
parent = session.pack(kernel.get_parent()['header'])
for deep in (b'[' * 200_000 + b']' * 200_000, b'1' * 100_000, b'"' + b'x' * 3_000_000 + b'"', b'[' + b'[],' * 300_000 + b'1]'):
    content = b'{"data": {"' + mime + b'": ' + deep + b'}, "metadata": {}}'
    parts = [session.pack(session.msg_header('display_data')), parent, b'{}', content]
    kernel.iopub_thread.send_multipart([b'<IDS|MSG>', session.sign(parts), *parts])""",
    "claims to have strict mode": "import os\nos.environ.update(LABKIT_STRICT='1', CI='true', PYTEST_CURRENT_TEST='x')",
    "takes frame from the check": """
import gc, inspect
def frame(x, window, hop):
    for info in inspect.stack():
        for name, value in info.frame.f_globals.items():
            if name.startswith(('expected', 'want', 'stored')):
                return value
    return [o for o in gc.get_objects() if isinstance(o, dict) and 'expected' in o][0]['expected']""",
}

FOREVER = "def frame(x, window, hop):\n    while True:\n        pass"
GUILTY = "def frame(x, window, hop):\n"
HANGS = {  # have to wait for a time-out
    "loops for ever": FOREVER,
    "loops in its cell": "while True:\n    pass",
    "loops in C, beyond the reach of Ctrl-C": "import re\n" + GUILTY + "    return re.match(r'(a+)+$', 'a' * 60 + 'b')",
    "swallows Ctrl-C": GUILTY
    + "    while True:\n        try:\n            while True:\n                pass\n        except BaseException:\n            pass",
    "blocks Ctrl-C": "import signal\nsignal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])\n" + FOREVER,
    "is right, but late": "import time\n"
    + GUILTY
    + "    try:\n        time.sleep(60)\n    except BaseException:\n        return np.stack([x[i : i + window] for i in range(0, len(x) - window + 1, hop)])",
    "stops the clock": "import time\ntime.time = time.monotonic = time.perf_counter = lambda: 0.0\n" + FOREVER,
    "awaits for ever": "import asyncio\nawait asyncio.sleep(1000)",
    "starves the other threads": "import sys, threading\nsys.setswitchinterval(1e6)\n"
    "def spin():\n    while True:\n        pass\nthreading.Thread(target=spin, daemon=True).start()\n" + FOREVER,
    "does not reply": "get_ipython().kernel.shell_handlers['execute_request'] = lambda *_: None\n" + GUILTY + "    return x",
    "pauses itself": "import os, signal\n" + GUILTY + "    os.kill(os.getpid(), signal.SIGSTOP)",
    "becomes another program": "import os\n" + GUILTY + "    os.execv('/bin/sleep', ['sleep', '100'])",
    "leaves orphans that hold the sockets": "import os, time\n"
    + GUILTY
    + "    if os.fork():\n        os._exit(0)\n    os.setsid()\n    if os.fork():\n        os._exit(0)\n    time.sleep(1000)",
}

SABOTAGE = {
    "ends Python": "import os\nos._exit(0)",
    "ends Python later": "import os\n" + GUILTY + "    os._exit(0)",
    "ends Python a moment after its cell": "import os, threading\nthreading.Timer(0.01, os._exit, (0,)).start()\n"
    + GUILTY
    + "    threading.Timer(0.001, os._exit, (0,)).start()\n    return x",
    "crashes": "import ctypes\n" + GUILTY + "    ctypes.string_at(0)",
    "overflows the stack": "import sys\nsys.setrecursionlimit(10**9)\n" + GUILTY + "    return eval('frame(x, window, hop)')",
    "kills its parent": "import os, signal\n"
    + GUILTY
    + "    [os.kill(os.getppid(), s) for s in (9, 15, 19, 11, 2, 1)]\n    os._exit(0)",
    "kills everybody": "import os\n" + GUILTY + "    os.kill(-1, 9)\n    os._exit(0)",
    "pauses everybody": "import os\n" + GUILTY + "    os.kill(-1, 19)\n    os.kill(os.getpid(), 19)",
    "shuts the kernel down": GUILTY + "    get_ipython().kernel.do_shutdown(True)\n    get_ipython().kernel.io_loop.stop()",
    "closes all files": "import os\n" + GUILTY + "    os.closerange(0, 2000)",
    "writes into all its sockets": "import os\n"
    + GUILTY
    + "    for n in range(3, 100):\n        try:\n            os.set_blocking(n, False)\n            os.write(n, b'x' * 1000)\n        except OSError:\n            pass",
    "takes all memory": GUILTY + "    a = []\n    while True:\n        a.append(np.ones(10**7))",
    "takes all memory, in children": "import os, time\n"
    + GUILTY
    + "    for _ in range(5):\n        if os.fork() == 0:\n            a = np.ones(6 * 10**7)\n            time.sleep(60)\n    time.sleep(60)",
    "forks and forks": "import os, time\n"
    + GUILTY
    + "    for _ in range(400):\n        try:\n            child = os.fork()\n        except OSError:\n            break\n"
    "        if child == 0:\n            time.sleep(60)\n            os._exit(0)\n    time.sleep(60)",
    "starts threads without end": "import threading, time\n"
    + GUILTY
    + "    while True:\n        threading.Thread(target=time.sleep, args=(100,), daemon=True).start()",
    "fills the disk": "import os\n"
    + GUILTY
    + "    for place in ('/tmp', '/dev/shm'):\n        for n in range(12):\n            with open(f'{place}/f{n}', 'wb') as f:\n"
    "                f.write(bytes(60 << 20))",
    "leaves many small files": GUILTY + "    for n in range(20_000):\n        open(f'/tmp/{n}', 'w').close()\n    raise OSError",
    "leaves a deep folder": "import os\n"
    + GUILTY
    + "    for _ in range(2000):\n        os.mkdir('d')\n        os.chdir('d')\n    raise OSError",
    "locks its folder": "import os\n"
    + GUILTY
    + "    os.makedirs('/tmp/a/b/c')\n    os.chmod('/tmp/a/b', 0)\n    os.chmod('/tmp/a', 0)\n    os.chmod('/tmp', 0)\n    raise OSError",
    "lowers the zygote's limits": "import os, resource\n"
    + GUILTY
    + "    for what in (resource.RLIMIT_NOFILE, resource.RLIMIT_AS, resource.RLIMIT_STACK, resource.RLIMIT_CPU):\n"
    "        resource.prlimit(os.getppid(), what, (3, 3))\n    raise OSError",
    "makes the zygote slow": "import os\n"
    + GUILTY
    + "    os.setpriority(os.PRIO_PROCESS, os.getppid(), 19)\n    os.sched_setscheduler(os.getppid(), os.SCHED_IDLE, os.sched_param(0))\n"
    "    raise OSError",
    "prints 100 MB": GUILTY + "    print('x' * 10**8)\n    raise OSError",
    "prints without end": GUILTY + "    while True:\n        print('spam', flush=True)",
    "sends without end": GUILTY + "    while True:\n        check.value(1.0)",
    "sends a value of 100 MB": "from labkit.course.compare import bundle, encode\n"
    + GUILTY
    + "    check.publish(bundle({**encode(1.0), 'more': 'x' * 10**8}))\n    return x",
    "sets a trap for the next student": """
import os, sys
TRAP = "import sys; sys.exit('trapped'); raise SystemExit"
def trap(path):
    try:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, 'w') as f:
            f.write(TRAP)
    except OSError:
        pass
home = os.path.expanduser('~')
for place in (home, os.getcwd(), '/tmp', '/labkit', '/labkit/labkit', *sys.path):
    for name in ('sitecustomize.py', 'usercustomize.py', 'numpy.py', 'labkit.py', 'json.py', 'trap.pth', '.pythonstartup'):
        trap(os.path.join(place or '.', name))
for name in ('.ipython/profile_default/startup/00.py', '.ipython/profile_default/ipython_config.py', '.jupyter/jupyter_config.py',
             'ipython/profile_default/startup/00.py', 'ipython/profile_default/ipython_config.py', '.config/matplotlib/matplotlibrc',
             'matplotlib/matplotlibrc', '.local/lib/python3.11/site-packages/trap.pth', '.bashrc'):
    trap(os.path.join(home, name))
for name in ('/etc/ld.so.preload', '/dev/shm/x', '/run/x', '/var/tmp/x'):
    trap(name)
os.environ.update(LD_PRELOAD='/tmp/trap.so', PYTHONSTARTUP='/tmp/sitecustomize.py', PYTHONPATH='/tmp')
def frame(x, window, hop):
    raise OSError""",
    "patches what the next student imports": """
import numpy, labkit.course.check, labkit.course.compare
numpy.stack = numpy.mean = labkit.course.compare.encode = lambda *_, **__: 0
def frame(x, window, hop):
    import os
    os._exit(1)""",
    "leaves a daemon": "import os, time\nif os.fork() == 0:\n    os.setsid()\n    if os.fork() == 0:\n        time.sleep(1000)\n    os._exit(0)\n"
    + GUILTY
    + "    raise OSError",
    "is a nuisance while the next cell runs": "import threading\n"
    "def noise():\n    while True:\n        print('noise', flush=True)\nthreading.Thread(target=noise, daemon=True).start()\n"
    + GUILTY
    + "    raise OSError",
    "closes what it prints to": "import sys\nsys.stdout.close()\nsys.stderr = sys.stdout = None\n" + GUILTY + "    raise OSError",
    "uses names of the lab": "np = check = 7\n" + GUILTY + "    return x",
}

FILES = {
    "an empty file": b"",
    "a web page": b"<!doctype html><title>notebook</title>",
    "a zip file": b"PK\x03\x04" + b"\0" * 1000,
    "a compressed bomb": gzip.compress(b"[" * 10**6),
    "not UTF-8": b'{"cells": [{"source": "\xff\xfe\xfa"}]}',
    "cut off": b'{"cells": [{"cell_type": "code", "source": "def',
    "deep JSON": b'{"cells": ' + b"[" * 10**6 + b"]" * 10**6 + b"}",
    "a number without end": b'{"cells": [' + b"9" * 10**6 + b"]}",
    "100 000 cells": b'{"cells": [' + b'{"cell_type": "code"},' * 99_999 + b"{}]}",
    "21 MB": b" " * 21_000_000,
    "a megabyte of text": b'{"cells": [{"source": "' + b"x" * 1_100_000 + b'"}]}',
    "cells that are none": b'{"cells": [1e999, NaN, null, [], "x"]}',
    "a list": b"[1, 2, 3]",
    "a pickle": pickle.dumps({"cells": []}),
}
