"""What a sandboxed script sees, what it cannot reach, and that scripts share nothing they can change."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import trio
from harness import sandboxed

import scheduler
from scheduler.sandbox import Sandbox

HERE = Path(__file__).parent


@pytest.fixture
def run(engine_with_close: str) -> Any:
    """Run one sandboxed script."""

    async def run_script(code: str, *args: Any, **options: Any) -> Any:
        async with sandboxed(engine_with_close, detect_deadlock=True, **options) as runtime:
            return await runtime.run(code, *args)

    return run_script


# -- what is there ---------------------------------------------------------------------------------

LIBRARIES = {
    "channel": "new",
    "promise": "all all_settled any new race reject resolve run",
    "sync": "barrier condition event mutex once rate_limiter rwlock semaphore waitgroup",
    "require('broadcast')": "new",
    "require('callback')": "cancel from_promise has_pending process to_promise wrap",
    "require('emitter')": "new",
    "require('stream')": "of",
    "require('timer')": "after debounce every throttle",
    "coroutine": "close create isyieldable resume running status wrap yield",
    "debug": "traceback",
    "event": "emit wait",
    "io": "stdout write",
    "os": "clock date difftime time",
    "string": "byte char find format gmatch gsub len lower match pack packsize rep reverse sub unpack upper",
    "task": (
        "POLL_PENDING all current list local_storage map now pollable race scope select shield sleep spawn "
        "spawn_with timeout yield"
    ),
    "utf8": "char charpattern codepoint codes len offset",
}
GLOBALS = (
    "_G _VERSION assert channel collectgarbage coroutine debug error event getmetatable io ipairs load math "
    "next os pairs params pcall print promise rawequal rawget rawlen rawset require select setmetatable "
    "sleep string sync table task tonumber tostring type utf8 xpcall"
)
NAMES = "local names = {} for name in pairs((...)) do names[#names + 1] = name end table.sort(names) "


async def test_globals_are_the_allow_list_and_nothing_else(run: Any) -> None:
    assert (await run("local t = _G " + NAMES.replace("(...)", "t") + "return names")) == GLOBALS.split()


@pytest.mark.parametrize("library", LIBRARIES)
async def test_library_has_the_listed_functions_and_no_others(run: Any, library: str) -> None:
    found = await run(f"local t = {library} " + NAMES.replace("(...)", "t") + "return names")
    assert [name for name in found if name != "limit"] == LIBRARIES[library].split()


@pytest.mark.parametrize(
    "expression",
    [
        "dofile", "loadfile", "package", "python", "warn", "os.exit", "os.getenv", "os.remove", "os.execute",
        "io.open", "io.popen", "io.stderr", "debug.getinfo", "debug.getregistry", "debug.sethook",
        "string.dump", "('').dump", "os.setlocale", "jit", "_ENV.python", "task.label", "io.lines",
        "debug.getupvalue",        "require('_G').package", "os.tmpname", "io.stdout.close", "io.stdout.seek",
    ],
)  # fmt: skip
async def test_dangerous_things_are_absent(run: Any, expression: str) -> None:
    assert await run(f"return {expression}") is None


# -- scripts apart ---------------------------------------------------------------------------------


async def test_two_environments_share_no_table(engine_with_close: str) -> None:
    async with sandboxed(
        engine_with_close,
        sandbox=Sandbox(allow={"weather"}),
        params={"list": [1, {"deep": 2}]},
        host={"weather.get": lambda: 1},
    ) as runtime:
        vm = runtime._driver.vm
        make, script = vm.embed[b"sandbox_environment"], vm.new_table()
        crawl = vm._lua.eval(b"load")((HERE / "crawl.lua").read_bytes())
        shared, walked = crawl(make(script), make(script), vm._lua.eval(b"debug.getmetatable"))
        assert shared == 0
        assert walked > 12


async def test_changed_libraries_are_changed_for_that_script_only(engine_with_close: str) -> None:
    async with sandboxed(engine_with_close, params={"key": "value"}) as runtime:
        await runtime.run(
            "string.format, math.floor, task.spawn, params.key = nil, nil, nil, 'changed' "
            "function string.trim() end  pairs, _G.print = nil, error  table.insert = error"
        )
        assert await runtime.run(
            "return string.trim == nil, ('%d'):format(math.floor(2.5)), type(task.spawn), params.key, "
            "print ~= error, table.insert ~= error"
        ) == (True, "2", "function", "value", True, True)


async def test_string_metatable_is_out_of_reach(run: Any) -> None:
    assert await run("return getmetatable('')") is False
    assert await run("string.upper = nil; return ('a'):upper()") == "A"
    assert await run("return pcall(setmetatable, '', {})") == (
        False,
        "bad argument #1 to 'setmetatable' (table expected, got string)",
    )


async def test_random_numbers_are_each_scripts_own(engine_with_close: str) -> None:
    """Lua's own generator is one for all: a script could seed it and foretell the numbers of another."""
    draw = (
        "math.randomseed(7) local t = {} "
        "for i = 1, 5 do t[i] = math.random(1000) event.wait('go') end return t"
    )
    async with sandboxed(engine_with_close) as runtime:
        tasks = [runtime.spawn(draw) for _ in range(2)]
        for _ in range(5):
            await trio.testing.wait_all_tasks_blocked()
            runtime.emit("go")
        alone = await runtime.run(draw.replace("event.wait('go')", ""))
        assert [await task.join() for task in tasks] == [alone, alone]


async def test_random_keeps_its_contract(run: Any) -> None:
    assert await run(
        """
        for _ = 1, 2000 do
          local f, d, m = math.random(), math.random(6), math.random(math.mininteger, math.maxinteger)
          assert(f >= 0 and f < 1 and math.type(f) == "float")
          assert(d >= 1 and d <= 6 and math.type(d) == "integer" and math.type(m) == "integer")
          local big = math.random(-3, 2^62 | 0)
          assert(big >= -3 and big <= 2^62)
        end
        local seen = {}
        for _ = 1, 400 do seen[math.random(4)] = true end
        assert(#seen == 4 and math.random(5, 5) == 5 and math.type(math.random(0)) == "integer")
        local messages = {}
        for i, args in ipairs({ { 0.5 }, { 2, 1 }, { 1, 2, 3 }, { {} } }) do
          local _, message = pcall(function() math.random(table.unpack(args)) end)
          messages[i] = message:match(": (.*)")
        end
        return messages
        """
    ) == [
        "bad argument #1 to 'random' (number has no integer representation)",
        "bad argument #2 to 'random' (interval is empty)",
        "wrong number of arguments",
        "bad argument #1 to 'random' (number expected, got table)",
    ]


# -- tasks of others -------------------------------------------------------------------------------


async def test_script_lists_its_own_tasks_only(engine_with_close: str) -> None:
    async with sandboxed(engine_with_close) as runtime:
        other = runtime.spawn("task.spawn(sleep, 9) task.scope(function(s) s:spawn(sleep, 9) end)")
        await trio.sleep(1)
        script = (
            "local t = task.spawn(sleep, 1) local n = #task.list() "
            "task.all({ function() n = n .. ' ' .. #task.list() end }) t:join() return n, #task.list()"
        )
        assert await runtime.run(script) == ("2 3", 1)
        other.cancel()


async def test_events_are_each_scripts_own_and_reach_python(engine_with_close: str) -> None:
    async with sandboxed(engine_with_close) as runtime:
        log: list[Any] = []

        async def listen() -> None:
            log.append(await runtime.wait_event("news"))

        waiter = "return event.wait('news', 5)"
        first = runtime.spawn(waiter)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(listen)
            await trio.sleep(1)
            # Names that try to look like those of another script.
            guess = "local n = 0 for i = 1, 9 do n = n + event.emit('script ' .. i .. '\\0news') end return n"
            assert await runtime.run(guess) == 0
            assert await runtime.run("return event.emit('news', 'from a script')") == 1
        assert log == ["from a script"]
        assert await first.join() == (None, "timeout")


async def test_values_that_python_emits_are_copied_for_each_script(engine_with_close: str) -> None:
    async with sandboxed(engine_with_close) as runtime:
        change = "local t = event.wait('news') t.list[1] = t.list[1] + 1 sleep(1) return t.list[1]"
        tasks = [runtime.spawn(change) for _ in range(3)]
        await trio.sleep(1)
        assert runtime.emit("news", {"list": [1]}) == 3
        assert [await task.join() for task in tasks] == [2, 2, 2]


async def test_handle_of_another_script_is_refused(engine_with_close: str) -> None:
    """The way across is Python: it hands a function of one script to another."""
    async with sandboxed(engine_with_close) as runtime:
        get = await runtime.run(
            "local t = task.spawn_with({background=true}, sleep, 9) return function() return t end"
        )
        attack = """
            local get = ...
            local foreign = get()
            local results = { tostring(getmetatable(foreign)), #task.list() }
            for i, fn in ipairs({
              function() return task.current().join(foreign) end,
              function() return task.current().cancel(foreign) end,
              function() return task.current().info(foreign) end,
              function() return task.race({ foreign }) end,
              function() return task.all({ foreign }) end,
              function() return setmetatable(foreign, {}) end,
              function() return rawset(foreign, 1, 2) end,
            }) do
              local _, message = pcall(fn)
              results[#results + 1] = message:gsub("^string:%d+: ", "")
            end
            return results
        """
        assert await runtime.run(attack, get) == [
            "false",
            1,
            "bad argument #1 to 'join' (task expected, got table)",
            "bad argument #1 to 'cancel' (task expected, got table)",
            "bad argument #1 to 'info' (task expected, got table)",
            "bad argument #1 to 'race' (item 1 is a table, not a function or task)",
            "bad argument #1 to 'all' (item 1 is a table, not a function or task)",
            "cannot change a protected metatable",
            "cannot change a protected table",
        ]
        runtime.cancel()


# -- handles ---------------------------------------------------------------------------------------


async def test_handles_are_opaque(run: Any) -> None:
    assert await run(
        """
        local t = task.spawn_with({ name = "wor\\27ker" }, sleep, 1)
        local same = t == task.list()[2]
        local scope
        task.scope(function(s) scope = s end)
        local function fails(fn, ...) return select(2, pcall(fn, ...)) end
        return next(t), getmetatable(t), tostring(t), t.name, t.co, t.home, same, #table.pack(next(scope)),
          getmetatable(scope), tostring(scope), scope.owner, fails(rawset, t, 1, 2),
          fails(setmetatable, scope, nil), fails(table.insert, t, 1), t.wait, t.state
        """
    ) == (
        None, False, "task 2 'wor?ker'", "wor?ker", None, None, True, 0, False, "scope", None,
        "cannot change a protected table", "cannot change a protected metatable",
        "a task cannot be changed; for data of your own use task.local_storage()", None, None,
    )  # fmt: skip


async def test_task_library_works_on_handles(run: Any) -> None:
    assert await run(
        """
        local log = {}
        local function note(...) log[#log + 1] = table.concat({ ... }, " ") end
        local t = task.spawn(function(x) sleep(1) return x end, "value")
        note(t:status(), t:join(), t:status(), tostring(t:cancel()))
        local all = task.all({ function() return 1 end, task.spawn(function() sleep(1) return 2 end) })
        note(all[1], all[2], all.n)
        local loser = task.spawn(sleep, 9)
        note(task.race({ loser, function() sleep(1) return "won" end }), loser:status())
        note(table.concat(task.map({ 1, 2, 3 }, function(x) return x * 2 end, { limit = 2 }), "+"))
        note(select("#", task.scope(function(s)
          local child = s:spawn(sleep, 9)
          s:spawn_with({ priority = "low" }, function() s:cancel("enough") end)
        end)))
        note(tostring(task.timeout(1, sleep, 5)), tostring(task.shield(function() return "shielded" end)))
        task.local_storage().key = "stored"
        note(task.spawn(function() return task.local_storage().key end):join())
        note(task.current() == task.current() and "same" or "different", task.current():info().status)
        local ok, message = pcall(task.current().join, task.current())
        note(tostring(ok), message, type(task.now()))
        return log
        """
    ) == [
        "ready value done false",
        "1 2 2",
        "won cancelled",
        "2+4+6",
        "0",
        "nil shielded",
        "stored",
        "same running",
        "false task 1 'string' cannot join itself number",
    ]


async def test_errors_name_the_line_of_the_script(run: Any) -> None:
    messages = await run(
        """
        local messages = {}
        local t = task.spawn(sleep, 1)
        local scope
        task.scope(function(s) scope = s end)
        for i, fn in ipairs({
          function() task.spawn(1) end, function() task.spawn_with({ nam = 1 }, print) end,
          function() task.spawn_with({ priority = "high" }, print) end, function() t.cancel(1) end,
          function() t:cancel({}) end, function() scope:spawn(print) end,
          function() scope.spawn(t, print) end,
          function() task.all(t) end, function() task.race({}) end, function() task.race({ 1 }) end,
          function() event.wait({}) end, function() event.emit(nil) end, function() load(nil) end,
          function() collectgarbage("collect") end, function() setmetatable({}, { __gc = print }) end,
          function() rawset(t, 1, 1) end, function() require({}) end, function() require("../x") end,
          function() io.write({}) end, function() io.stdout.write(1) end, function() task.scope(1) end,
          function() task.map({}, print, 5) end, function() task.spawn_with({ [t] = 1 }, print) end,
        }) do
          messages[i] = select(2, pcall(fn))
        end
        return messages
        """
    )
    assert [message for message in messages if not message.startswith("string:")] == []
    assert len(messages) == 23


# -- what our code does with the script's tables ---------------------------------------------------


@pytest.mark.parametrize("seed", range(3))
async def test_metamethods_and_callbacks_see_nothing_of_ours(run: Any, seed: int) -> None:
    done, leaks = await run((HERE / "probe.lua").read_text(), seed, 1500)
    assert not leaks
    assert done > 1000


async def test_callbacks_of_another_script_cannot_be_cancelled(engine_with_close: str) -> None:
    async with sandboxed(engine_with_close) as runtime, trio.open_nursery() as nursery:
        nursery.start_soon(
            runtime.run,
            "called = false local wait = require('callback').wrap(sleep) "
            "wait(1, function() called = true end) sleep(2) assert(called)",
        )
        await trio.sleep(0.5)
        assert (
            await runtime.run(
                "local n = 0 for id = 0, 100 do n = n + (require('callback').cancel(id) and 1 or 0) end "
                "return n"
            )
            == 0
        )


@pytest.mark.parametrize("seed", range(3))
async def test_objects_and_their_callbacks_show_nothing_of_ours(run: Any, seed: int) -> None:
    done, leaks = await run((HERE / "probe.lua").read_text(), seed, 1500, True)
    assert not leaks
    assert done > 500


async def test_metatables_are_only_those_the_script_has_set(run: Any) -> None:
    assert await run(
        """
        local failed = select(2, pcall(task.scope, function(s)
          for _, word in ipairs({ "a", "b" }) do
            s:spawn(function() pcall(sleep, 1) error(word, 0) end)
          end
        end))
        local mark
        task.timeout(1, function()
          local watch <close> = setmetatable({}, { __close = function(_, err) mark = err end })
          sleep(2)
        end)
        local locked = setmetatable({}, { __metatable = "mine" })
        local plain = setmetatable({}, { __index = { field = 1 } })
        return type(failed), getmetatable(failed), type(mark), getmetatable(mark), getmetatable(io.stdout),
          getmetatable(locked), getmetatable(plain).__index.field, getmetatable(1), getmetatable(print),
          (pcall(setmetatable, failed, nil)), (pcall(setmetatable, locked, nil)), (pcall(rawset, mark, 1, 1))
        """
    ) == ("table", False, "table", False, False, "mine", 1, None, None, False, False, False)


async def test_iterator_of_the_host_gives_no_finalizer(engine_with_close: str) -> None:
    """Its guard has a __gc; a script that reached that metatable had code run in the collector."""

    def count() -> Any:
        yield from range(3)

    async with sandboxed(
        engine_with_close, sandbox=Sandbox(allow={"count"}), host={"count": count}
    ) as runtime:
        assert await runtime.run(
            "local advance, _, _, closer = count() "
            "return getmetatable(closer), getmetatable(closer.guard), pcall(setmetatable, closer.guard, nil)"
        ) == (False, False, False, "cannot change a protected metatable")


# -- code ------------------------------------------------------------------------------------------


async def test_load_takes_text_only_and_the_scripts_globals(run: Any) -> None:
    assert await run(
        """
        local pieces = { "return ", "x", " + 1" }
        local i = 0
        x = 41
        return load(function() i = i + 1 return pieces[i] end)(), load("return x", "n", "t", { x = 7 })(),
          load("return x", "n", "bt", nil) ~= nil, select(2, load("x", "n", "b")),
          select(2, load("\\27Lua")), select(2, load("\\27Lua", "n", "b")), load("return _G")() == _G,
          select(2, load(function() error("reader") end)), select(2, load(function() return {} end)),
          load("y = 5") and y, select(2, load("=", "@[scheduler]/kernel.lua"))
        """
    ) == (
        42, 7, True, "attempt to load a text chunk (mode is 'b')",
        "attempt to load a binary chunk (mode is 't')", "attempt to load a text chunk (mode is 'b')", True,
        "string:8: reader", "reader function must return a string", None,
        "(load):1: unexpected symbol near '='",
    )  # fmt: skip


@pytest.mark.parametrize(
    "code",
    [
        "load('return ' .. ('a or '):rep(190000) .. 'a')",
        "load('return ' .. ('a and '):rep(150000) .. 'a')",
        "load('if a then ' .. ('elseif a then '):rep(70000) .. 'end')",
        "load('do ' .. ('goto z '):rep(30000) .. '::z:: end')",
        "load('while true do ' .. ('do break end '):rep(30000) .. 'end')",
        "load(function() return 'a = 1 ' end)",
        "load((' '):rep(2000000))",
    ],
)
async def test_sources_that_take_long_to_compile_are_refused(run: Any, code: str) -> None:
    """Lua's compiler is quadratic in such chains: the first one took 50 s inside one C call."""
    value, message = await run(f"return {code}")
    assert value is None
    assert "the sandbox compiles" in message


async def test_modules_come_from_beside_the_script_only(engine_with_close: str, tmp_path: Path) -> None:
    folder = tmp_path / "scripts"
    (folder / "deep").mkdir(parents=True)
    (tmp_path / "secret.lua").write_text("return 'secret'")
    (folder / "link.lua").symlink_to("../secret.lua")
    (folder / "absolute.lua").symlink_to(tmp_path / "secret.lua")
    (folder / "one.lua").write_text(
        "local name, where = ... shared = (shared or 0) + 1 return { name, where, x = x }"
    )
    (folder / "deep" / "init.lua").write_text("return require('deep.two')")
    (folder / "deep" / "two.lua").write_text("return 2")
    (folder / "ring.lua").write_text("local ring = require('ring') return ring")
    (folder / "fails.lua").write_text("error('in the module')")
    (folder / "binary.lua").write_bytes(b"\x1bLua")
    script = """
        x = "of the script"
        local one = require("one")
        local results = { one[1], one[2], one.x, shared, require("one") == one, require("deep"),
          require("task") == task }
        for _, name in ipairs({ "ring", "fails", "binary", "link", "absolute", "../secret", "a..b", "secret",
          "/etc/passwd", "os\\0", (".x"):rep(9) }) do
          results[#results + 1] = select(2, pcall(require, name)):gsub("^string:%d+: ", "")
        end
        return results
    """
    async with sandboxed(engine_with_close, folder=folder) as runtime:
        found = await runtime.run(script)
    assert found[:7] == ["one", "@one.lua", "of the script", 1, True, 2, True]
    bad_name = "a module's name is made of letters, digits, '_', '-' and single dots"
    assert found[7:] == [
        "ring.lua:1: module 'ring' is required while it is being loaded (a loop)",
        "fails.lua:1: in the module",
        "error loading module 'binary':\n\tattempt to load a binary chunk (mode is 't')",
        "module 'link' not found: path 'link.lua' refused: '..' leads above the root",
        "module 'absolute' not found: path 'absolute.lua' refused: "
        "the symbolic link 'absolute.lua' is absolute",
        f"module '../secret' not found: {bad_name}",
        f"module 'a..b' not found: {bad_name}",
        "module 'secret' not found: no file 'secret.lua'; no file 'secret/init.lua' beside the script",
        f"module '/etc/passwd' not found: {bad_name}",
        f"module 'os\0' not found: {bad_name}",
        f"module '{'.x' * 9}' not found: {bad_name}",
    ]


# -- output ----------------------------------------------------------------------------------------


async def test_output_is_counted_before_it_is_written(run: Any, capfd: pytest.CaptureFixture[str]) -> None:
    sizes: list[int] = []
    await run(
        "print('ab', 1) io.write('x', 2, '\\n'):write('y\\n') io.stdout:write('z\\n') print()",
        output=sizes.append,
    )
    assert sizes == [5, 26, 2, 2, 1]
    assert capfd.readouterr().out == "ab\t1\nx2\ny\nz\n\n"


async def test_traceback_is_bounded_and_of_strings_only(run: Any) -> None:
    length, table, trace = await run(
        "local t = {} return #debug.traceback(('x'):rep(1e6)), debug.traceback(t) == t, debug.traceback('m')"
    )
    assert length < 20_000
    assert table is True
    assert trace.splitlines() == ["m", "stack traceback:", "\tstring:1: in main chunk"]


# -- grants ----------------------------------------------------------------------------------------


async def test_host_functions_are_there_when_allowed(engine_with_close: str) -> None:
    host = {name: (lambda name=name: name) for name in ("weather.get", "weather.set", "files.read", "log")}
    for allow, expected in [
        ({"weather"}, ("function", "function", "nil", "nil")),
        ({"weather.get", "log"}, ("function", "nil", "nil", "function")),
        (set(), ("nil", "nil", "nil", "nil")),
    ]:
        async with sandboxed(engine_with_close, sandbox=Sandbox(allow=allow), host=host) as runtime:
            script = (
                "weather = weather or {} files = files or {} "
                "return type(weather.get), type(weather.set), type(files.read), type(log)"
            )
            assert await runtime.run(script) == expected


async def test_function_registered_later_reaches_running_scripts_without_overwriting(
    engine_with_close: str,
) -> None:
    host = {"group.early": lambda: "early"}
    async with sandboxed(engine_with_close, sandbox=Sandbox(allow={"group"}), host=host) as runtime:
        waits = runtime.spawn("event.wait('go') return group.late()")
        keeps = runtime.spawn("function group.late() return 'mine' end event.wait('go') return group.late()")
        replaced = runtime.spawn("group = 'mine' event.wait('go') return group")
        await trio.sleep(1)
        runtime.register("group.late", lambda: "host")
        runtime.emit("go")
        ends = [await task.join() for task in (waits, keeps, replaced)]
        assert ends == ["host", "mine", "mine"]


async def test_getenv_gives_what_was_granted(run: Any) -> None:
    granted = Sandbox(env={"KEY": "value"})
    assert await run("return os.getenv('KEY'), os.getenv('PATH')", sandbox=granted) == ("value", None)


async def test_name_with_another_thing_there_is_refused(engine_with_close: str) -> None:
    async with sandboxed(engine_with_close, sandbox=Sandbox(allow={"string", "task"})) as runtime:
        with pytest.raises(ValueError, match="it is a table already"):
            runtime.register("string", lambda: 1)


def test_sandbox_refuses_what_it_does_not_know(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"allow: '\.\.' is no name"):
        Sandbox(allow={".."})
    with pytest.raises(TypeError, match="a set of names"):
        Sandbox(allow="task")
    with pytest.raises(ValueError, match="is not a directory"):
        Sandbox(fs_root=tmp_path / "missing")
    with pytest.raises(ValueError, match="bad host pattern"):
        Sandbox(net_hosts=["http://example.com/"])
    with pytest.raises(TypeError, match="env"):
        Sandbox(env={"KEY": 1})
    with pytest.raises(
        ValueError, match=r"unknown name 'wether' \(did you mean 'weather'\?\); known are .*weather"
    ):
        Sandbox(allow={"wether"}).check(["weather.get"])
    Sandbox(allow={"weather", "weather.get", "task"}).check(["weather.get"])
    assert "secret" not in repr(Sandbox(env={"KEY": "secret"}))


async def test_plain_failures_reach_python_as_ever(run: Any) -> None:
    with pytest.raises(scheduler.LuaError, match="string:1: boom") as caught:
        await run("error('boom')")
    assert caught.value.lua_traceback.splitlines()[-1] == "\tstring:1: in main chunk"


# -- guarded functions -----------------------------------------------------------------------------


GUARDS = """{
  install = function(libraries, allowance)
    assert(type(libraries._G.next) == "function" and libraries.os.time and libraries.table.sort)
    local rep = libraries.string.rep
    function libraries.string.rep(text, n)
      allowance.bytes(#text * n)
      return rep(text, n)
    end
    return libraries.string
  end,
}"""


async def test_guarded_functions_reach_scripts_and_the_methods_of_strings(run: Any) -> None:
    asked: list[int] = []
    found = await run(
        "return ('ab'):rep(3), string.rep('x', 2), string.dump, string.rep == (''):rep(0).rep, "
        "math.max(1, 2)",
        guards=GUARDS,
        bytes_=asked.append,
    )
    assert found == ("ababab", "xx", None, True, 2)
    assert asked == [6, 2, 0]
