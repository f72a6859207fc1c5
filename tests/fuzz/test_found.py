"""What fuzzing found, each as its smallest example."""

import json
import shlex
import shutil

import pytest
from fuzz import given as valid
from fuzz.test_fuzz import EVALUATE, FILE, SCORER

CHECK = "config check config.yaml broken"
LEXICON = "language lexicon check ./broken --tokenizer tokens"
TRUTH = "language truth --prompts broken --output out/truth.csv"
TABLE = "results table scan broken --output out/table --summary out/summary"
SCAN = "scan dataset --train broken --test scan --task x --seed 0 --validation-fraction 0.25"
SCAN += " --output out/dataset"
SAMPLE = json.dumps(valid.SAMPLES[0])
WINDOWS = "".join(f"{json.dumps(row)}\r\n" for row in valid.SAMPLES).encode()
LONG = "x" * 30_000
WORDS = f"{SCAN} --permutation '{{commands: [[{LONG}, run]], actions: [[I_RUN, I_WALK]]}}'"


@pytest.mark.parametrize(
    ("command", "content", "message"),
    [
        (CHECK, f"? {LONG}", "unknown key 'xxx"),
        (CHECK, f"scan: {{permutations: {{? {LONG} : {{}}}}}}", "up to 64 letters"),
        (
            CHECK,
            f"scan: {{permutations: {{jump_run: {{commands: [[{LONG}]]}}}}}}",
            "unknown word 'xxx",
        ),
        (CHECK, "scan: {seeds: [-1]}", "scan.seeds[0] is -1"),
        (CHECK, "scan: {seeds: [4294967296]}", "scan.seeds[0] is 4294967296"),
        (CHECK, f"device: 0x{'f' * 5000}", "device is a number of thousands of digits"),
        (CHECK, "scan: {tuning: {GRU: {learning_rate: .inf}}}", "GRU.learning_rate is inf"),
        (CHECK, "scan: {tuning: {GRU: {betas: [2, 0]}}}", "GRU.betas[0] is 2"),
        (CHECK, "scan: {model: {hidden: 1000000000}}", "scan.model.hidden is 1000000000"),
        (CHECK, "device: cpu\ndevice: cuda\n", "line 2: the key 'device' stands twice"),
        (CHECK, "? [a]\n: 1", "line 1: a key is a list or a mapping"),
        (CHECK, "a: !!timestamp x", "line 1: the tag tag:yaml.org,2002:timestamp is not read"),
        (LEXICON, b"\xff\xfe", "broken, line 1: byte 0xff is not UTF-8"),
        (
            TRUTH,
            "axes: {a: {b: b, c: c}}\ntasks: {d: [e]}\n",
            "resources/corpus.yaml has no axis 'a'",
        ),
        (TRUTH, f"axes: {{? {LONG} : {{}}}}\ntasks: {{}}", "up to 64 letters"),
        (f"{EVALUATE} broken", SAMPLE.replace("cook", "\\ud800"), "holds half a character"),
        (f"{EVALUATE} broken", SAMPLE.replace("gender", LONG), "unknown axis 'xxx"),
        (f"{SCORER} --train regard --dev regard --test broken", "7\tx", "unknown regard '7'"),
        (TABLE, b"\xff\xfet\x00", "broken, line 1: byte 0xff is not UTF-8"),
        (WORDS, valid.SCAN, "unknown word 'xxx"),
    ],
    ids=[
        "long key",
        "long key inside",
        "long word inside",
        "negative seed",
        "seed of 33 bits",
        "number of 5000 digits",
        "rate without end",
        "betas of 2",
        "a thousand million units",
        "key twice",
        "list as a key",
        "tag",
        "lexicon in no UTF-8",
        "axis of no corpus",
        "prompts with a long key",
        "half a character",
        "long axis",
        "unknown regard",
        "table in no UTF-8",
        "long word",
    ],
)
def test_what_was_found_is_one_line(files, folder, meets, command, content, message):
    shutil.copytree(files, folder, dirs_exist_ok=True)
    content = content if isinstance(content, bytes) else content.encode()
    (folder / FILE).write_bytes(content)
    assert message in meets(*shlex.split(command))


@pytest.mark.parametrize(
    ("command", "content"),
    [
        (CHECK, b"\xef\xbb\xbfdevice: cpu\r\n"),
        (f"{EVALUATE} broken", b"\xef\xbb\xbf" + WINDOWS),
        (SCAN, b"\xef\xbb\xbf" + valid.SCAN.replace(b"\n", b"\r\n")),
        (TABLE, b"\xef\xbb\xbf" + valid.TABLE.replace(b"\n", b"\r\n")),
    ],
    ids=["settings", "samples", "commands", "table"],
)
def test_marks_and_line_ends_of_other_systems_are_taken(files, folder, meets, command, content):
    shutil.copytree(files, folder, dirs_exist_ok=True)
    (folder / FILE).write_bytes(content)
    assert meets(*shlex.split(command)) == ""
