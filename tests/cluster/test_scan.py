"""SCAN on a cluster gives what it gives on one machine."""

import pandas as pd


def test_tables_equal_those_of_a_local_run(local, start):
    run = start("results/tables/scan.csv")
    code, said = run.wait()
    assert code == 0, said
    tables = [
        pd.read_csv(folder / "results/tables/scan.csv", dtype=str).drop(columns="train_seconds")
        for folder in (local, run.folder)
    ]
    assert len(tables[0]) == 3
    pd.testing.assert_frame_equal(*tables)
    trained = run.jobs("pretrain_scan") + run.jobs("tune_scan")
    assert len(trained) == 3
    assert {job["JobState"] for job in trained} == {"COMPLETED"}
    assert {job["TresPerJob"] for job in trained} == {"gres:gpu:1"}
    assert {job["Partition"] for job in trained} == {"gpu"}
    assert {job["NodeList"] for job in run.jobs("tune_scan")} == {"node1", "node2"}
    assert not run.jobs("build_scan_dataset")  # a step of seconds needs no job
