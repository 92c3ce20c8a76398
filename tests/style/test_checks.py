"""The checks of style, on trees made for the purpose: what they let pass and what they name."""

import pathlib
import subprocess
import sys
import tempfile
import unittest

TOOLS = pathlib.Path(__file__).resolve().parent.parent.parent / "tools"


class Tree(unittest.TestCase):
    def setUp(self):
        holder = tempfile.TemporaryDirectory()
        self.addCleanup(holder.cleanup)
        self.root = pathlib.Path(holder.name)

    def put(self, path, text):
        place = self.root / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)

    def run_tool(self, name):
        done = subprocess.run([sys.executable, TOOLS / name, self.root], text=True,
                              capture_output=True, timeout=60)
        self.assertEqual(done.stderr, "")
        return done.returncode, done.stdout


class Limits(Tree):
    def judge(self, path, text):
        self.put(path, text)
        return self.run_tool("check-limits")

    def function(self, lines):
        return "static int\nf(void)\n{\n" + "    g();\n" * (lines - 3) + "}\n"

    def test_a_function_may_have_70_lines_and_not_71(self):
        self.assertEqual(self.judge("a.c", self.function(70))[0], 0)
        code, text = self.judge("a.c", self.function(71))
        self.assertEqual(code, 1)
        self.assertIn("a.c:2: f has 71 lines, at most 70", text)

    def test_each_of_several_functions_is_measured_alone(self):
        self.assertEqual(self.judge("a.c", self.function(60) * 3)[0], 0)
        text = self.judge("a.c", "void h(int);\n\n" + self.function(10) + self.function(71))[1]
        self.assertIn("a.c:15: f has 71 lines", text)

    def test_a_file_may_have_600_lines_and_main_300(self):
        for path, most in ("a.c", 600), ("a.h", 600), ("main.c", 300):
            self.assertEqual(self.judge(path, "int a;\n" * most)[0], 0)
            code, text = self.judge(path, "int a;\n" * (most + 1))
            self.assertEqual(code, 1)
            self.assertIn(f"{most + 1} lines, at most {most}", text)
            (self.root / path).unlink()

    def test_each_banned_function_is_named(self):
        for name in "strcpy strcat sprintf strtok atoi gets alloca".split():
            code, text = self.judge("a.c", f"int x;\nint y = {name} (z);\n")
            self.assertEqual(code, 1)
            self.assertIn(f"a.c:2: {name} is banned", text)

    def test_their_harmless_relations_pass(self):
        self.assertEqual(self.judge("a.c", "snprintf(a); strtok_r(a); fgets(a); my_atoi(a);\n"),
                         (0, "1 files, 0 complaints\n"))

    def test_a_comment_with_two_slashes_fails_unless_it_is_in_a_string_or_a_comment(self):
        good = 'x = "http://a\\"//"; /* http://b\n // c */ y = \'"\';\n'
        self.assertEqual(self.judge("a.c", good)[0], 0)
        code, text = self.judge("a.c", "int x;\nint y; // here\n")
        self.assertEqual(code, 1)
        self.assertIn("a.c:2: a comment with //", text)

    def test_a_tree_without_files_fails(self):
        self.assertEqual(self.run_tool("check-limits")[0], 1)


class Layers(Tree):
    def setUp(self):
        super().setUp()
        self.put("docs/ARCHITECTURE.md",
                 "# A\n\nLayers: base <- log, clock <- bus <- gateway, services, cli\n")
        for path in ("lib/base/base.h", "lib/log/log.h", "lib/clock/clock.h", "lib/bus/bus.h",
                     "lib/bus/private.h", "services/a/a.h", "services/b/b.h", "cli/cli.h"):
            self.put(path, "int x;\n")

    def judge(self, path, target):
        self.put(path, f'#include "{target}"\n')
        return self.run_tool("check-layers")

    def test_includes_to_the_left_in_the_own_group_and_of_the_own_module_pass(self):
        for path, target in (("lib/bus/bus.c", "base/base.h"), ("lib/log/log.c", "clock/clock.h"),
                             ("lib/bus/x.c", "bus/private.h"), ("services/a/main.c", "bus/bus.h"),
                             ("services/a/a.c", "a.h"), ("lib/bus/y.c", "millrace/v1/rpc.pb-c.h")):
            self.assertEqual(self.judge(path, target)[0], 0, (path, target))

    def test_every_other_include_is_named(self):
        for path, target in (("lib/log/log.c", "bus/bus.h"), ("lib/base/base.c", "log/log.h"),
                             ("lib/bus/bus.c", "cli/cli.h"), ("lib/log/x.c", "bus/private.h"),
                             ("services/a/main.c", "bus/private.h"), ("services/a/x.c", "b.h"),
                             ("services/a/y.c", "services/b/b.h"), ("services/a/z.c", "../b/b.h"),
                             ("services/a/w.c", "cli/cli.h"), ("lib/bus/v.c", "curl/curl.h")):
            code, text = self.judge(path, target)
            self.assertEqual(code, 1, (path, target))
            self.assertIn(f'{path}: "{target}": ', text)
            self.assertIn(" 1 complaints", text)
            (self.root / path).unlink()

    def test_a_module_that_stands_in_no_layer_is_named(self):
        self.put("lib/stray/stray.c", "int x;\n")
        code, text = self.run_tool("check-layers")
        self.assertEqual(code, 1)
        self.assertIn("stray stands in no layer", text)


if __name__ == "__main__":
    unittest.main()
