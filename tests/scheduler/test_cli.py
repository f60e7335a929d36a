"""`python -m scheduler` as the shell sees it: exit code, stdout, stderr."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import GIVE_UP_S, Shell

import scheduler

HINT = "Try 'python -m scheduler --help'.\n"


# -- where the script comes from -----------------------------------------------------------------


def test_a12_script_file_runs_with_arg_and_varargs_as_in_lua(shell: Shell) -> None:
    shell.write("script.lua", "print(arg[0], arg[1], arg[2], #arg, ...)")
    assert shell.run("script.lua", "one", "two words") == (
        0,
        "script.lua\tone\ttwo words\t2\tone\ttwo words\n",
        "",
    )


def test_run_is_an_optional_word(shell: Shell) -> None:
    shell.write("script.lua", "print('ran', ...)")
    assert shell.run("run", "script.lua", "x") == (0, "ran\tx\n", "")


def test_folder_with_main_runs_main(shell: Shell) -> None:
    shell.write("app/main.lua", "print(arg[0], require('part'))")
    shell.write("app/part.lua", "return 'a module beside main.lua'")
    assert shell.run("app") == (0, "app/main.lua\ta module beside main.lua\tapp/part.lua\n", "")


def test_code_of_e(shell: Shell) -> None:
    assert shell.run("-e", "print(...)", "a", "b") == (0, "a\tb\n", "")


def test_minus_reads_standard_input(shell: Shell) -> None:
    assert shell.run("-", "a", stdin=b"print(...)\nprint(arg[0])") == (0, "a\n-\n", "")


def test_shebang_and_bom_are_skipped_and_lines_stay_right(shell: Shell) -> None:
    shell.write("both.lua", b"\xef\xbb\xbf#!/usr/bin/env scheduler\nprint('ran')\nerror('line 3')")
    code, stdout, stderr = shell.run("both.lua")
    assert (code, stdout) == (1, "ran\n")
    assert stderr.startswith("scheduler: both.lua:3: line 3\n")


def test_empty_script_is_a_script(shell: Shell) -> None:
    shell.write("empty.lua", "")
    shell.write("shebang_only.lua", "#!/usr/bin/env scheduler")
    assert [shell.run("empty.lua"), shell.run("shebang_only.lua")] == [(0, "", ""), (0, "", "")]


def test_require_finds_modules_beside_the_script_and_in_lua_path(shell: Shell) -> None:
    shell.write("place/script.lua", "print((require('beside')), (require('folder')), (require('far')))")
    shell.write("place/beside.lua", "task.sleep(0.001) return 'beside'")
    shell.write("place/folder/init.lua", "return 'folder'")
    shell.write("elsewhere/far.lua", "return 'far'")
    assert shell.run("place/script.lua", LUA_PATH="elsewhere/?.lua;;") == (0, "beside\tfolder\tfar\n", "")


# -- options -------------------------------------------------------------------------------------


def test_options_may_stand_before_and_after_the_script(shell: Shell) -> None:
    shell.write("script.lua", "print(params.a, params.b, task.now(), ...)")
    assert shell.run("--param", "a=1", "script.lua", "x", "--virtual-clock", "--param", "b=x=y", "y") == (
        0,
        "1\tx=y\t0.0\tx\ty\n",
        "",
    )


def test_everything_after_two_dashes_goes_to_the_script(shell: Shell) -> None:
    shell.write("script.lua", "print(...)")
    assert shell.run("script.lua", "a", "--", "--stats", "--", "-e", "--unknown") == (
        0,
        "a\t--stats\t--\t-e\t--unknown\n",
        "",
    )


def test_script_after_two_dashes(shell: Shell) -> None:
    shell.write("script.lua", "print(...)")
    assert shell.run("--virtual-clock", "--", "script.lua", "--stats") == (0, "--stats\n", "")


def test_negative_numbers_are_arguments(shell: Shell) -> None:
    assert shell.run("-e", "print(...)", "-5", "-", "-1.5") == (0, "-5\t-\t-1.5\n", "")


@pytest.mark.parametrize(
    ("engine", "version"), [("lua54", "Lua 5.4"), ("lua55", "Lua 5.5"), ("luajit", "Lua 5.1")]
)
def test_engine_chooses_the_lua(shell: Shell, engine: str, version: str) -> None:
    assert shell.run("--engine", engine, "-e", "print(_VERSION, jit ~= nil)") == (
        0,
        f"{version}\t{'true' if engine == 'luajit' else 'false'}\n",
        "",
    )


def test_default_engine_is_lua54(shell: Shell) -> None:
    assert shell.run("-e", "io.write(_VERSION)") == (0, "Lua 5.4", "")


def test_virtual_clock_ends_an_hour_at_once_with_exact_times(shell: Shell) -> None:
    code = """
        for i, s in ipairs({ 3600, 10, 0.25 }) do
          task.spawn(function() print(i, task.sleep(s), task.now()) end)
        end
    """
    assert shell.run("--virtual-clock", "-e", code) == (
        0,
        "3\t0.25\t0.25\n2\t10.0\t10.0\n1\t3600.0\t3600.0\n",
        "",
    )


def test_stats_go_to_stderr_at_the_end(shell: Shell) -> None:
    code, stdout, stderr = shell.run("--stats", "-e", "task.spawn(task.yield):join() print('out')")
    rows = dict(line.split() for line in stderr.splitlines())
    assert (code, stdout) == (0, "out\n")
    assert (rows["tasks_spawned"], rows["tasks_ended"], rows["host_calls"]) == ("2", "2", "0")
    assert int(rows["switches"]) >= 3
    assert float(rows["cpu_s"]) > 0


def test_timeout_cancels_the_script_lets_cleanup_run_and_exits_with_124(shell: Shell) -> None:
    code = """
        local guard <close> = setmetatable({}, { __close = function() print("cleanup") end })
        task.sleep(100)
        print("never")
    """
    assert shell.run("--virtual-clock", "--timeout", "5", "-e", code) == (
        124,
        "cleanup\n",
        "scheduler: timed out after 5 s\n",
    )


def test_timeout_in_time_is_none(shell: Shell) -> None:
    assert shell.run("--timeout", "60", "-e", "print('quick')") == (0, "quick\n", "")


def test_version_and_help(shell: Shell) -> None:
    assert shell.run("--version") == (0, f"lua-trio-scheduler {scheduler.__version__}\n", "")
    code, stdout, stderr = shell.run("--help")
    assert (code, stderr) == (0, "")
    options = set(re.findall(r"^  (?:-h, )?(--?[a-z-]+)", stdout, re.MULTILINE))
    assert options == {
        "-e", "--help", "--param", "--engine", "--timeout", "--virtual-clock", "--stats", "--version",
        "--sandbox", "--cpu-limit", "--memory-limit", "--output-limit", "--max-tasks", "--slice", "--isolate",
    }  # fmt: skip


# -- bad input -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "no script: name a .lua file, a folder with main.lua, or - for stdin; or use -e CODE"),
        (["missing.lua"], "no such script: missing.lua"),
        (["empty_folder"], "the folder empty_folder has no main.lua"),
        (
            ["--stat", "script.lua"],
            "unknown option '--stat': did you mean --stats? To hand it to the script, put it after --",
        ),
        (
            ["script.lua", "--nonsense"],
            "unknown option '--nonsense': To hand it to the script, put it after --",
        ),
        (["script.lua", "-x"], "unknown option '-x'"),
        (
            ["--param", "novalue", "script.lua"],
            "bad --param 'novalue': expected KEY=VALUE, as in --param city=Oslo",
        ),
        (["--param", "=x", "script.lua"], "bad --param '=x': expected KEY=VALUE"),
        (["script.lua", "--param"], "argument --param: expected one argument"),
        (
            ["--timeout", "soon", "script.lua"],
            "bad --timeout 'soon': expected seconds, a number that is not negative",
        ),
        (["--timeout", "-1", "script.lua"], "bad --timeout '-1': expected seconds"),
        (["--timeout", "nan", "script.lua"], "bad --timeout 'nan': expected seconds"),
        (
            ["--slice", "0", "script.lua"],
            "bad --slice '0': expected seconds greater than 0, as in 0.01, or inf",
        ),
        (["--slice", "-1", "script.lua"], "bad --slice '-1': expected seconds greater than 0"),
        (["--slice", "nan", "script.lua"], "bad --slice 'nan': expected seconds greater than 0"),
        (["--slice", "x", "script.lua"], "bad --slice 'x': expected seconds greater than 0"),
        (["--max-tasks", "9" * 5000, "script.lua"], "expected a whole number of at most 15 digits"),
        (
            ["--memory-limit", "9" * 20 + "G", "script.lua"],
            "memory_bytes must be at most 2**53 (or math.inf)",
        ),
        (["--engine", "lua99", "script.lua"], "invalid choice: 'lua99'"),
    ],
)
def test_wrong_usage_exits_with_2_and_one_clear_message(shell: Shell, words: list[str], message: str) -> None:
    shell.write("script.lua", "print('must not run')")
    (shell.folder / "empty_folder").mkdir()
    code, stdout, stderr = shell.run(*words)
    assert (code, stdout) == (2, "")
    assert stderr.startswith("scheduler: ")
    assert message in stderr
    assert "Traceback" not in stderr


def test_syntax_error_names_file_and_line(shell: Shell) -> None:
    shell.write("bad.lua", "local x = 1\nlocal = 5\n")
    code, stdout, stderr = shell.run("bad.lua")
    assert (code, stdout) == (2, "")
    assert stderr == "scheduler: bad.lua:2: <name> expected near '='\n"


def test_syntax_error_in_code_of_e(shell: Shell) -> None:
    assert shell.run("-e", "print(") == (
        2,
        "",
        "scheduler: (command line):1: unexpected symbol near <eof>\n",
    )


def test_script_that_is_not_utf8_names_the_line(shell: Shell) -> None:
    shell.write("latin.lua", b"-- fine\nprint('caf\xe9')")
    assert shell.run("latin.lua") == (
        2,
        "",
        "scheduler: latin.lua:2: not valid UTF-8 (byte 0xe9); save the file as UTF-8, "
        "or write the byte as an escape in a string\n",
    )


def test_bytecode_is_refused(shell: Shell) -> None:
    shell.write("compiled.luac", b"\x1bLuaT\x00")
    assert shell.run("compiled.luac") == (
        2,
        "",
        "scheduler: compiled.luac: this is compiled Lua (bytecode); give the source\n",
    )


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_unreadable_script(shell: Shell) -> None:
    (shell.folder / shell.write("secret.lua", "")).chmod(0)
    assert shell.run("secret.lua") == (2, "", "scheduler: cannot read secret.lua: Permission denied\n")


# -- failures ------------------------------------------------------------------------------------


def test_failing_script_exits_with_1_and_lua_traceback_without_python_frames(shell: Shell) -> None:
    shell.write("fail.lua", "local function inner()\n  error('boom')\nend\ninner()\n")
    assert shell.run("fail.lua") == (
        1,
        "",
        "scheduler: fail.lua:2: boom\n"
        "stack traceback:\n"
        "\t[C]: in function 'error'\n"
        "\tfail.lua:2: in local 'inner'\n"
        "\tfail.lua:4: in main chunk\n"
        "in task 1 'fail.lua', fail.lua\n",
    )


def test_failure_of_a_task_names_the_task_and_its_function(shell: Shell) -> None:
    shell.write(
        "fail.lua",
        "task.spawn_with({ name = 'worker' }, function()\n  task.sleep(1)\n  local x = nil + 1\nend)",
    )
    code, stdout, stderr = shell.run("--virtual-clock", "fail.lua")
    assert (code, stdout) == (1, "")
    lines = stderr.splitlines()
    assert lines[0] == "scheduler: fail.lua:3: attempt to perform arithmetic on a nil value"
    assert lines[-1] == "in task 2 'worker', function <fail.lua:1>"
    assert not any(word in stderr for word in ("[scheduler]", ".py", "Traceback", "xpcall"))


def test_several_failures_are_all_reported(shell: Shell) -> None:
    shell.write(
        "fail.lua",
        "for i = 1, 2 do\n"
        "  task.spawn(function() task.sleep(1) error('failure ' .. i, 0) end)\n"
        "end\n"
        "task.sleep(5)",
    )
    code, stdout, stderr = shell.run("--virtual-clock", "fail.lua")
    assert (code, stdout) == (1, "")
    assert "2 tasks failed:" in stderr
    assert re.findall(r"failure \d", stderr) == ["failure 1", "failure 2"]


@pytest.mark.parametrize(
    ("raised", "message"),
    [
        ("nil", "nil (error raised without a message)"),
        ("{}", "(error object is a table value)"),
        ("{ message = 'a table with a message' }", "a table with a message"),
        ("42", "42"),
        ("setmetatable({}, { __tostring = function() return 'its own text' end })", "its own text"),
        (
            "setmetatable({}, { __tostring = function() error('no') end })",
            "(error object is a table value whose __tostring fails)",
        ),
        (
            "setmetatable({}, { __tostring = function() return {} end })",
            "(error object is a table value whose __tostring fails)",
        ),
        ("print", "function: "),
        ("'two\\nlines'", "two\nlines"),
        ("'bytes \\xff'", "bytes \N{REPLACEMENT CHARACTER}"),
    ],
)
def test_error_values_of_any_kind_end_in_one_clear_message(shell: Shell, raised: str, message: str) -> None:
    code, stdout, stderr = shell.run("-e", f"error({raised}, 0)", PYTHONIOENCODING="utf-8")
    assert (code, stdout) == (1, "")
    assert stderr.startswith(f"scheduler: {message}")
    assert "stack traceback:" in stderr


def test_e35_deadlock_exits_with_3_and_names_each_task_its_wait_and_the_line(shell: Shell) -> None:
    shell.write(
        "stuck.lua",
        """\
local t = task.spawn_with({ name = "waiter" }, function()
  event.wait("never")
end)
task.spawn(function()
  local generator = coroutine.wrap(function()
    coroutine.wrap(function()
      event.wait("nested")
    end)()
  end)
  generator()
end)
task.spawn(function()
  table.sort({ 2, 1 }, function(a, b)
    event.wait("in sort")
    return a < b
  end)
end)
t:join()
""",
    )
    assert shell.run("stuck.lua") == (
        3,
        "",
        "scheduler: deadlock: every task waits and nothing can wake them\n"
        "  task 1 'stuck.lua' waits for the end of task 2 'waiter' (resource) at stuck.lua:18\n"
        "  task 2 'waiter' waits for event 'never' (event) at stuck.lua:2\n"
        "  task 3 waits for event 'nested' (event) at stuck.lua:7\n"
        "  task 4 waits for event 'in sort' (event) at stuck.lua:14\n",
    )


def test_e35_deadlock_lets_cleanup_run(shell: Shell) -> None:
    code, stdout, stderr = shell.run(
        "-e",
        """
        local guard <close> = setmetatable({}, { __close = function() print("cleanup") end })
        event.wait("never")
        """,
    )
    assert (code, stdout) == (3, "cleanup\n")
    assert stderr.startswith("scheduler: deadlock")


def test_waiting_background_tasks_are_no_deadlock(shell: Shell) -> None:
    assert shell.run("-e", "task.spawn_with({ background = true }, event.wait, 'never') print('end')") == (
        0,
        "end\n",
        "",
    )


# -- os.exit -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("argument", "code"),
    [("", 0), ("true", 0), ("false", 1), ("0", 0), ("7", 7), ("255", 255), ("nil, true", 0)],
)
def test_os_exit_gives_the_code(shell: Shell, argument: str, code: int) -> None:
    assert shell.run("-e", f"io.write('before') os.exit({argument}) print('never')") == (code, "before", "")


def test_os_exit_cancels_tasks_and_runs_close(shell: Shell) -> None:
    code = """
        local function closer(name)
          return setmetatable({}, { __close = function() print("closed " .. name) end })
        end
        task.spawn(function()
          local a <close> = closer("sleeper")
          task.sleep(1000)
        end)
        task.spawn(function()
          local b <close> = closer("exiting task")
          task.sleep(1)
          pcall(function() os.exit(5) end)
          print("never")
        end)
        local c <close> = closer("main")
        task.sleep(1000)
    """
    exit_code, stdout, stderr = shell.run("--virtual-clock", "-e", code)
    assert (exit_code, stderr) == (5, "")
    assert sorted(stdout.splitlines()) == ["closed exiting task", "closed main", "closed sleeper"]


def test_os_exit_inside_a_coroutine_and_inside_sort(shell: Shell) -> None:
    nested = "coroutine.wrap(function() table.sort({ 2, 1 }, function() os.exit(9) end) end)() print('never')"
    assert shell.run("-e", nested) == (9, "", "")


# -- pipes and Ctrl-C ----------------------------------------------------------------------------


def test_a_closed_pipe_ends_the_program_silently(shell: Shell) -> None:
    shell.write("loud.lua", "for i = 1, 1e7 do print('line ' .. i) end")
    program = shell.start("loud.lua")
    assert program.stdout is not None
    assert program.stderr is not None
    first = program.stdout.readline()
    program.stdout.close()
    with program.stderr:
        complaint = program.stderr.read()
    program.wait(GIVE_UP_S)
    assert (first, complaint) == (b"line 1\n", b"")


def test_output_of_print_is_not_lost_when_it_goes_to_a_file(shell: Shell) -> None:
    shell.write("count.lua", "for i = 1, 1000 do print(i) end io.write('no newline at the end')")
    code, stdout, _stderr = shell.run("count.lua")
    assert (code, stdout) == (0, "".join(f"{i}\n" for i in range(1, 1001)) + "no newline at the end")


def _interrupted(program: subprocess.Popen[bytes], ready: bytes, signals: int) -> tuple[int, bytes, bytes]:
    assert program.stdout is not None
    try:
        assert program.stdout.readline() == ready
        for number in range(signals):
            if number:
                # Two signals that arrive together are one: the first must have been seen.
                time.sleep(0.2)
            program.send_signal(signal.SIGINT)
        stdout, stderr = program.communicate(timeout=GIVE_UP_S)
    finally:
        if program.poll() is None:
            program.kill()
            program.communicate()
    return program.returncode, stdout, stderr


@pytest.mark.slow
def test_ctrl_c_cancels_lets_cleanup_run_and_exits_with_130(shell: Shell) -> None:
    shell.write(
        "wait.lua",
        """
        local guard <close> = setmetatable({}, { __close = function()
          task.shield(task.sleep, 0.01)
          print("cleanup")
        end })
        task.spawn(function()
          local inner <close> = setmetatable({}, { __close = function() print("child cleanup") end })
          while true do pcall(task.sleep, 0.01) end
        end)
        print("ready") io.flush()
        task.sleep(1000)
        """,
    )
    assert _interrupted(shell.start("wait.lua"), b"ready\n", 1) == (
        130,
        b"child cleanup\ncleanup\n",
        b"scheduler: interrupted\n",
    )


@pytest.mark.slow
def test_ctrl_c_reaches_a_busy_script_that_yields(shell: Shell) -> None:
    shell.write("busy.lua", "print('ready') io.flush() while true do task.yield() end")
    assert _interrupted(shell.start("busy.lua"), b"ready\n", 1) == (130, b"", b"scheduler: interrupted\n")


@pytest.mark.slow
def test_second_ctrl_c_ends_at_once_while_lua_hogs_the_processor(shell: Shell) -> None:
    shell.write("hog.lua", "print('ready') io.flush() io.write('unflushed') while true do end")
    code, stdout, stderr = _interrupted(shell.start("hog.lua"), b"ready\n", 2)
    assert (code, stdout) == (130, b"unflushed")
    assert b"Traceback" not in stderr


@pytest.mark.slow
def test_second_ctrl_c_ends_a_cleanup_that_hangs(shell: Shell) -> None:
    shell.write(
        "hang.lua",
        """
        local guard <close> = setmetatable({}, { __close = function()
          task.shield(function() while true do task.sleep(1) end end)
        end })
        print("ready") io.flush()
        task.sleep(1000)
        """,
    )
    code, stdout, _stderr = _interrupted(shell.start("hang.lua"), b"ready\n", 2)
    assert (code, stdout) == (130, b"")


@pytest.mark.slow
def test_e38_idle_and_sleeping_script_uses_no_processor(shell: Shell) -> None:
    """Compares processor time of a script that only sleeps with one that ends at once."""
    shell.write("sleep.lua", "task.sleep(1)")
    shell.write("nothing.lua", "")

    def cpu_s(script: str) -> float:
        _code, _stdout, stderr = shell.run("--stats", script)
        rows = dict(line.split() for line in stderr.splitlines())
        assert int(rows["slices"]) < 20
        return float(rows["cpu_s"])

    # A loop that looks every millisecond would need at least 20 ms more.
    assert cpu_s("sleep.lua") - cpu_s("nothing.lua") < 0.02


def test_scripts_have_the_whole_standard_library(shell: Shell) -> None:
    shell.write("data.txt", "content")
    code = """
        print(io.open("data.txt"):read("a"), os.getenv("HOME") ~= nil, load("return 1 + 1")(),
          type(debug.getinfo), type(string.pack), type(utf8.char), type(package.searchers), dofile("d.lua"))
    """
    shell.write("d.lua", "return 'done file'")
    assert shell.run("-e", code) == (
        0,
        "content\ttrue\t2\tfunction\tfunction\tfunction\ttable\tdone file\n",
        "",
    )


def test_program_works_from_any_folder_with_the_script_elsewhere(shell: Shell, tmp_path: Path) -> None:
    shell.write("far/away/script.lua", "print(require('near'), arg[0])")
    shell.write("far/away/near.lua", "return 'near'")
    path = str(tmp_path / "far" / "away" / "script.lua")
    code, stdout, _ = shell.run(path)
    assert code == 0
    assert stdout.startswith("near\t")
    assert stdout.endswith(f"\t{path}\n")


def test_main_module_exits_with_the_code_of_main() -> None:
    done = subprocess.run(
        [sys.executable, "-c", "from scheduler.cli.program import main; print(main(['-e', 'os.exit(4)']))"],
        capture_output=True,
        text=True,
        timeout=GIVE_UP_S,
        check=True,
        env={**os.environ, "PYTHONPATH": str(Path(scheduler.__file__).parents[1])},
    )
    assert done.stdout == "4\n"
