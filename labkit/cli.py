"""The `labkit` command: thin. Every subcommand parses its words, calls one room, prints.

`--json` prints one JSON object on stdout and nothing else. An error is one sentence on stderr that says what to do, exit 2.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path


def doctor(args) -> int:
    from labkit.course import doctor

    text, ok = doctor.report()
    print(text)
    return 0 if ok else 1


def build(args) -> int:
    from labkit.course.build import build

    problems = build(args.lab, check=args.check)
    for problem in problems:
        print(problem, file=sys.stderr)
    if args.check and not problems:
        print("solutions and notebooks agree with their sources")
    return 1 if problems else 0


def models(args) -> int:
    from labkit import models, trace

    for name in models.names():
        workload = trace(*models.build(name))
        memory = f"{workload.weight_bytes:>8,} B weights {workload.peak_activation_bytes:>7,} B activations (int8)"
        print(f"{name:12} {workload.macs:>11,} MACs {workload.params:>8,} parameters {memory}")
    return 0


def devices(args) -> int:
    import labkit

    for name in labkit.devices():
        print(labkit.device(name))
    return 0


def estimate(args) -> int:
    import labkit

    device = labkit.device(args.device, **({"stack": args.stack} if args.stack else {}))
    result = device.estimate(workload_of(args.model))
    if args.json:
        print(json.dumps({"model": args.model, "device": args.device, **result.as_dict()}))
    else:
        print(result)
    return 0


def workload_of(model: str):
    """A zoo name, or a file that `Workload.to_json` wrote."""
    from labkit.workload import Workload

    if model.endswith(".json") or Path(model).is_file():
        return Workload.from_json(model)
    from labkit import models, trace

    return trace(*models.build(model), name=model)


def validate(args) -> int:
    from labkit import atomic
    from labkit.hardware import validation

    rows = validation.validate()
    for document in args.into:
        path = Path(document)
        atomic.write(path, validation.into(path.read_text(encoding="utf-8"), rows))
    print(json.dumps({"rows": [row.as_dict() for row in rows]}) if args.json else validation.table(rows))
    return 0


def train(args) -> int:
    from labkit import recipes

    print("\n".join(recipes.names()) if args.name is None else recipes.run(args.name, seed=args.seed))
    return 0


def check(args) -> int:
    from labkit.course import selfcheck

    return selfcheck.run(args.lab, args.file)


def grade(args) -> int:
    from labkit.course.grading import command

    return command.grade(**{name: value for name, value in vars(args).items() if name not in ("command", "run")})


BENCHES = {
    "explorers": "labkit.explorers.bench",
    "estimate": "labkit.hardware.bench",
    "grade": "labkit.course.grading.bench",
    "quantization": "labkit.quantization.bench",
}


def bench(args) -> int:
    from importlib import import_module

    bench = import_module(BENCHES[args.name])
    result = bench.run()
    print(json.dumps(result) if args.json else bench.table(result))
    return 0


class Parser(argparse.ArgumentParser):
    """Says what is wrong with the words in one sentence, without argparse's usage lines."""

    def error(self, message: str):
        self.exit(2, f"{self.prog}: {message}; {self.prog} --help says more\n")


def parser() -> argparse.ArgumentParser:
    parser = Parser(prog="labkit", description="The TinyML Lab Kit.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def command(function, help):
        sub = commands.add_parser(function.__name__, help=help, description=help)
        sub.set_defaults(run=function)
        return sub

    command(doctor, "say what is wrong with this installation")
    sub = command(build, "make the solution and student notebooks from solutions/*.py")
    sub.add_argument("lab", nargs="?", help="a number such as 03; all labs without it")
    sub.add_argument("--check", action="store_true", help="execute nothing; fail on any difference")
    sub = command(check, "how far is this notebook? runs it and lists its visible tests (for students)")
    sub.add_argument("lab", help="a number such as 03")
    sub.add_argument("file", nargs="?", help="the notebook; without it the one in this folder or in notebooks/")
    sub = command(grade, "grade a folder of submissions (for teachers)")
    sub.add_argument("submissions", help="holds STUDENT/NN_name.ipynb or STUDENT__NN_name.ipynb")
    sub.add_argument("--out", required=True, metavar="DIR", help="for scores.csv, feedback pages, and the results so far")
    sub.add_argument("--lab", metavar="NN", help="only this lab")
    sub.add_argument("--workers", type=int, metavar="N", help="processes; one a core without it")
    sub.add_argument("--timeout", type=float, metavar="S", help="seconds for a cell; 30 without it")
    sub.add_argument("--backend", choices=["loky", "dask"], default="loky", help="dask: the cluster DASK_SCHEDULER_ADDRESS names")
    sub.add_argument("--trusted", action="store_true", help="where there is no sandbox, run the submissions without one")
    sub.add_argument("--gradebook", metavar="FILE", help="an export of Canvas or Moodle; a copy with the points goes to DIR")
    command(models, "list the networks of the zoo")
    command(devices, "list the devices")
    sub = command(estimate, "latency, energy and memory of a network on a device")
    sub.add_argument("model", help="a zoo name (see `labkit models`) or a workload JSON file")
    sub.add_argument("--device", required=True, help="see `labkit devices`")
    sub.add_argument("--stack", help="the software stack of a Cortex-M board; its newest one without it")
    sub.add_argument("--json", action="store_true")
    sub = command(validate, "every hardware model against published measurements")
    sub.add_argument("--json", action="store_true")
    sub.add_argument("--into", nargs="+", default=[], metavar="FILE", help="renew the marked table in these Markdown files")
    sub = command(train, "train what the labs ship")
    sub.add_argument("name", nargs="?", help="a recipe; without it they are listed")
    sub.add_argument("--seed", type=int, default=0)
    sub = command(bench, "a speed claim beside its peer: explorers, estimate, grade, quantization")
    sub.add_argument("name", choices=list(BENCHES))
    sub.add_argument("--json", action="store_true")
    return parser


def main(argv: list[str] | None = None) -> int:
    args = parser().parse_args(argv)
    try:
        return args.run(args)
    except (ValueError, OSError, ImportError, RuntimeError) as error:
        print(f"labkit {args.command}: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"labkit {args.command}: stopped", file=sys.stderr)
        return 130  # what a shell expects of Ctrl-C


if __name__ == "__main__":
    sys.exit(main())
