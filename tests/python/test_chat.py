"""The command under signals and on a terminal: Ctrl-C, the chat, line editing and its history."""

import fcntl
import json
import os
import pty
import re
import select
import signal
import subprocess
import termios
import time

import pytest

from small_chat import ENDLESS, model, network, tokenizer  # noqa: F401


def test_interrupt_stops_an_answer(tallow, model):
    process = subprocess.Popen([tallow.path, "run", str(model), "-p", "x", *ENDLESS],
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout.read(5)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=20)
    assert process.returncode == -signal.SIGINT and errors == b""


def test_interrupted_json_is_whole(tallow, model):
    process = subprocess.Popen([tallow.path, "run", str(model), "-p", "x", "--json", *ENDLESS],
                               stdout=subprocess.PIPE)
    time.sleep(1)
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=20)
    assert json.loads(out)["finish_reason"] == "interrupted"


class Terminal:
    """The command on a pseudo-terminal."""

    def __init__(self, program, *args, home):
        self.master, slave = pty.openpty()
        self.before = termios.tcgetattr(slave)
        self.slave = slave
        environment = {**os.environ, "HOME": str(home), "TERM": "xterm", "LC_ALL": "C.UTF-8"}
        environment.pop("XDG_STATE_HOME", None)
        self.process = subprocess.Popen(
            [program, *map(str, args)], stdin=slave, stdout=slave, stderr=slave, env=environment,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0))
        self.text = ""

    def send(self, text):
        os.write(self.master, text.encode())

    def wait(self, pattern, seconds=30):
        """Reads on until the pattern comes after all that was waited for before."""
        end = time.monotonic() + seconds
        while not (match := re.search(pattern, self.text)):
            left = end - time.monotonic()
            ready = left > 0 and select.select([self.master], [], [], left)[0]
            assert ready, f"no {pattern!r} in {self.text!r}"
            try:
                data = os.read(self.master, 65536)
            except OSError:
                data = b""
            assert data, f"ended without {pattern!r}: {self.text!r}"
            self.text += data.decode(errors="replace")
        found = self.text[:match.end()]
        self.text = self.text[match.end():]
        return found

    def prompt(self):
        """Waits until a line can be typed: the prompt is there, and the editor reads keys."""
        found = self.wait("> $")
        while termios.tcgetattr(self.slave)[3] & termios.ICANON:
            time.sleep(0.01)
        return found

    def close(self):
        """Waits for the end; the exit code. The terminal must be as it was."""
        code = self.process.wait(timeout=20)
        after = termios.tcgetattr(self.slave)
        os.close(self.slave)
        os.close(self.master)
        assert after == self.before
        return code


@pytest.fixture
def terminal(tallow, model, tmp_path):
    terminals = []

    def start(*args):
        terminals.append(Terminal(tallow.path, "run", model, *args, home=tmp_path))
        return terminals[-1]

    yield start
    for t in terminals:
        if t.process.poll() is None:
            t.process.kill()


def test_chat_answers_and_keeps_a_history(terminal, tmp_path):
    t = terminal("-n", 4, "--temp", 0)
    t.prompt()
    t.send("the cat\r")
    t.wait(r"the cat\r\n[^\n]*\n")
    t.prompt()
    t.send("/stats\r")
    t.wait("prefill")
    t.prompt()
    t.send("/help\r")
    t.wait("/clear")
    t.prompt()
    t.send("/nonsense\r")
    t.wait("unknown command /nonsense")
    t.prompt()
    t.send("\x1b[A\x1b[A\x1b[A\x1b[A")  # up to the first line
    t.wait("the cat")
    t.send("\r")
    t.prompt()
    t.send("/exit\r")
    assert t.close() == 0
    assert "the" in (tmp_path / ".local/state/tallow/history").read_text()

    again = terminal("-n", 2)
    again.prompt()
    again.send("\x1b[A\x1b[A")
    again.wait("the cat")
    again.send("\x15\x04")
    assert again.close() == 0


def test_chat_prefills_only_what_is_new(terminal, tokenizer):
    t = terminal("-n", 3, "--temp", 0, "--stats")
    t.prompt()
    t.send("01234567890123456789\r")
    first = int(re.search(r"prefill +(\d+)", t.wait(r"prefill +\d+ tokens.*\n")).group(1))
    t.prompt()
    t.send("x\r")
    second = int(re.search(r"prefill +(\d+)", t.wait(r"prefill +\d+ tokens.*\n")).group(1))
    assert first > 20 and second < first
    t.prompt()
    t.send("/clear\r")
    t.prompt()
    t.send("\x04")
    assert t.close() == 0


def test_interrupt_in_a_chat(terminal):
    t = terminal(*ENDLESS)
    t.prompt()
    t.send("the cat\r")
    t.wait(r"the cat\r\n")
    t.wait("..........")
    t.send("\x03")
    t.prompt()  # stopped, and ready for more
    t.send("half a line")
    t.wait("half a line")
    t.send("\x03")
    t.prompt()
    t.send("\x03")  # on an empty line: the end
    assert t.close() == 0


def test_unicode_in_a_chat(terminal):
    t = terminal("-n", 1, "--temp", 0)
    t.prompt()
    t.send("日本x語\x7f\x7f語\r")
    t.wait("日本")
    t.prompt()
    t.send("\x04")
    assert t.close() == 0


def test_termination_restores_the_terminal(terminal):
    t = terminal()
    t.prompt()
    t.process.send_signal(signal.SIGTERM)
    t.close()


def test_a_chat_that_fills_its_context_goes_on_after_clear(terminal):
    t = terminal("--context", 40, "-n", 2)
    t.prompt()
    t.send("0123456789" * 5 + "\r")
    t.wait("do not fit the context of 40")
    t.prompt()
    t.send("the\r")
    t.prompt()
    t.send("\x04")
    assert t.close() == 0
