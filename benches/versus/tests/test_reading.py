"""What the harness reads from the tools' output, and what it makes of it.

    python3 -m unittest discover benches/versus/tests
"""
import os
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from harness import growth, instructions, load, machine, reloads, report  # noqa: E402
from harness.cases import CASES, QUICK, STANDARD  # noqa: E402
from harness.contender import Contender  # noqa: E402

WRK = """Running 2s test @ http://127.0.0.1:21010/small
  1 threads and 64 connections
  Latency Distribution
     50%    2.70ms
     75%    3.90ms
     90%    5.10ms
     99%  950.00us
  37196 requests in 2.00s, 42.10MB read
"""

H2LOAD = """Application protocol: {protocol}
finished in 2.00s, 13256.00 req/s, 14.00MB/s
requests: 26512 total, 26612 started, 26512 done, 26500 succeeded, {failed} failed, 100 errored, 0 timeout
"""


class Budgets(unittest.TestCase):
    """Whether a count is within its budget."""

    def judge(self, costs):
        with tempfile.NamedTemporaryFile("w", suffix=".json") as budget:
            budget.write('{"h1": 1000, "post": 2000}')
            budget.flush()
            return instructions.judge(costs, budget.name)

    def test_what_is_cheap_enough_is_fine(self):
        self.assertEqual(self.judge({"h1": 900.0, "post": 2100.0, "h1-tls": 9e9}), [])

    def test_what_costs_more_is_named_with_its_share(self):
        faults = self.judge({"h1": 1100.0, "post": 2000.0})
        self.assertEqual(len(faults), 2)
        self.assertTrue(faults[0].startswith("h1: 1,100, budget 1,000: +10.0%"), faults)

    def test_what_could_not_be_counted_is_no_success(self):
        self.assertEqual(self.judge({"h1": None, "post": 2000.0})[0], "h1: could not be counted")

    def test_counts_are_read_from_what_the_instruments_write(self):
        self.assertEqual(instructions.Instructions().total("desc: x\nsummary: 123\n\ntotals: 124\n"), 123)
        text = "    calls syscall\n--------- -----\n       12 read\n        3 epoll_wait\n--------- -----\n       15 total\n"
        self.assertEqual(instructions.Calls().total(text), 15)


    def test_a_plot_has_a_bar_for_each_size(self):
        self.assertEqual([line.count("#") for line in growth.plot([(1, 100.0), (10, 50.0), (100, None)])], [50, 25, 0])


class Reading(unittest.TestCase):
    def test_wrk_tells_requests_time_and_latency(self):
        result = load.read_wrk(WRK)
        self.assertEqual((result["count"], result["seconds"], result["failed"]), (37196, 2.0, 0))
        self.assertAlmostEqual(result["p50"], 0.0027)
        self.assertAlmostEqual(result["p99"], 0.00095)

    def test_refused_requests_are_no_work_done(self):
        text = WRK + "  Socket errors: connect 1, read 2, write 0, timeout 3\n  Non-2xx or 3xx responses: 196\n"
        result = load.read_wrk(text)
        self.assertEqual((result["count"], result["failed"]), (37000, 202))

    def test_a_tool_that_says_nothing_gives_no_result(self):
        self.assertIsNone(load.read_wrk("unable to connect to 127.0.0.1:21010 Connection refused"))
        self.assertIsNone(load.read_h2load("", 2, 100))

    def test_h2load_counts_streams_cut_off_at_the_end_as_failed(self):
        cut_off = load.read_h2load(H2LOAD.format(protocol="h2", failed=100), 2, 100)
        self.assertEqual((cut_off["count"], cut_off["failed"]), (26500, 0))
        self.assertEqual(load.read_h2load(H2LOAD.format(protocol="h2", failed=130), 2, 100)["failed"], 30)

    def test_http_1_is_not_taken_for_http_2(self):
        self.assertIsNone(load.read_h2load(H2LOAD.format(protocol="http/1.1", failed=0), 2, 100))

    def test_h2load_log_gives_percentiles(self):
        lines = [f"1700000000\t200\t{micros}\n" for micros in range(1, 101)]
        self.assertEqual(load.read_h2load_log(lines), {"p50": 51e-6, "p99": 100e-6})


class Reporting(unittest.TestCase):
    case = CASES["h1"]

    def test_ratios_are_taken_round_by_round(self):
        ours, theirs = [{"per_cpu": 30, "count": 9}, None, {"per_cpu": 10, "count": 9}], [{"per_cpu": 20, "count": 9}] * 3
        self.assertEqual(report.ratios(self.case, ours, theirs), [1.5, 0.5])
        self.assertEqual(report.shown([1.5, 0.5]), "1.00 (0.50-1.50)")

    def test_a_round_with_failures_is_not_compared(self):
        good, bad = {"per_cpu": 20, "count": 1000, "failed": 1}, {"per_cpu": 90, "count": 1000, "failed": 2}
        self.assertEqual(report.ratios(self.case, [bad], [good]), [])
        self.assertEqual(report.ratios(self.case, [good], [good]), [1])

    def test_a_table_is_aligned(self):
        lines = report.table(["a", "long head"], [["long name", "1"]])
        self.assertEqual(lines, ["| a         | long head |", "| --------- | --------: |", "| long name |         1 |"])

    def test_numbers_and_times_are_short(self):
        self.assertEqual([report.number(value) for value in (None, 0, 0.123, 12.34, 44390.2)], ["-", "0", "0.12", "12.3", "44,390"])
        self.assertEqual([report.duration(value) for value in (None, 7.23e-4, 2.7e-3, 1.5)], ["-", "723 us", "2.7 ms", "1.5 s"])

    def test_the_small_sets_name_cases_that_are_there(self):
        self.assertLessEqual(set(QUICK) | set(STANDARD), set(CASES))


class Templates(unittest.TestCase):
    def filled(self, text, **spec):
        contender = Contender.__new__(Contender)
        contender.spec = spec
        contender.name, contender.program, contender.folder, contender.generation = "x", "/bin/x", "/tmp/x", 3
        contender.http, contender.https, contender.extra, contender.process = 1, 2, 3, None
        contender.bench = type("Bench", (), {"origin_ports": [7, 8], "origin_sockets": ["/a", "/b"], "names": {"THREADS": 4}})
        return contender.filled(text)

    def test_names_are_replaced(self):
        self.assertEqual(self.filled("${PROGRAM} ${HTTP_PORT} ${GEN} ${THREADS} $http"), "/bin/x 1 3 4 $http")

    def test_a_line_is_repeated_for_each_origin(self):
        self.assertEqual(self.filled("a\nserver s${I} ${UPSTREAM};\nb"), "a\nserver s0 127.0.0.1:7;\nserver s1 127.0.0.1:8;\nb")

    def test_origins_may_be_on_unix_sockets(self):
        self.assertEqual(self.filled("[${UPSTREAMS_TOML}] ${UPSTREAMS}"), '["127.0.0.1:7", "127.0.0.1:8"] 127.0.0.1:7,127.0.0.1:8')
        self.assertEqual(self.filled("[${UPSTREAMS_TOML}] ${UPSTREAMS}", unix=True), '["unix:/a", "unix:/b"] unix:/a,unix:/b')

    def test_an_unknown_name_ends_the_run(self):
        with self.assertRaises(SystemExit):
            self.filled("${NO_SUCH_NAME}")


class Processes(unittest.TestCase):
    def test_the_end_takes_descendants_that_ignore_the_signal(self):
        script = "trap '' TERM; (trap '' TERM; echo ready; exec sleep 100) & wait"
        process = machine.start(["sh", "-c", script], stdout=subprocess.PIPE, text=True)
        self.assertEqual(process.stdout.readline(), "ready\n")
        family = machine.tree(process.pid)
        self.assertEqual(len(family), 2)
        machine.end(process, limit=0.2)
        self.assertEqual([pid for pid in family if machine._start_time(pid)], [])
        process.stdout.close()

    def test_a_process_that_has_ended_is_left_alone(self):
        process = machine.start(["true"])
        process.wait(5)
        self.assertTrue(machine.has_ended(process))
        machine.end(process)


class Reloads(unittest.TestCase):
    def test_an_order_that_stands_there_twice_was_handled_twice(self):
        self.assertEqual(reloads.repeated(["/orders/1-0-2\n", "/orders/1-0-4\n", "/orders/1-0-2\n", "/orders/1-0-2\n"]), 1)
        self.assertEqual(reloads.repeated(["/orders/1-0-2\n", "/orders/1-0-4\n"]), 0)


if __name__ == "__main__":
    unittest.main()
