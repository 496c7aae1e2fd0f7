"""Record linkage by Splink; run by bench_linkage_peers in an environment of its own.

python splink_link.py FOLDER. FOLDER holds, for each number, people-N.csv and release-N.csv with the same columns; it
adds weights-N.npy (people, rows), log2 odds of each pair, and seconds-N.npy, CPU seconds; or error-N.txt.

All pairs are learnt from, u is counted over them, the share of matches is held at one for each row of the larger table,
and equal values are weighed by how rare they are. Words are nearly equal from a Jaro-Winkler similarity of 0.9.
"""

import logging
import sys
import time
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import splink.comparison_level_library as level
from splink import DuckDBAPI, Linker, SettingsCreator
from splink.comparison_library import CustomComparison

logging.getLogger("splink").setLevel(logging.CRITICAL)


def comparison(name, released):
    if released.dtype.kind in "if":
        steps = [share * released.std(ddof=0) for share in (0.02, 0.5)]
        near = [level.CustomLevel(f"abs({name}_l - {name}_r) <= {step!r}") for step in steps]
    else:
        near = [level.JaroWinklerLevel(name, 0.9)]
    equal = level.ExactMatchLevel(name).configure(tf_adjustment_column=name)
    return CustomComparison([level.NullLevel(name), equal, *near, level.ElseLevel()], output_column_name=name)


def weights(people, release):
    names = {name: f"c{place}" for place, name in enumerate(release.columns)}
    tables = [table.rename(columns=names).assign(unique_id=np.arange(len(table))) for table in (people, release)]
    settings = SettingsCreator(
        "link_only",
        [comparison(name, tables[1][name]) for name in names.values()],
        ["1=1"],
        probability_two_random_records_match=1 / max(len(people), len(release)),
        retain_matching_columns=False,
    )
    with duckdb.connect(":memory:") as connection:
        connection.execute("SET threads TO 1")
        api = DuckDBAPI(connection)
        both = [api.register(table, table_name=name) for table, name in zip(tables, ("a_people", "b_release"))]
        linker = Linker(both, settings, log_level=None)
        linker.training.estimate_u_using_random_sampling(1e12, seed=1, min_count_per_level=None, num_chunks=1)
        linker.training.estimate_parameters_using_expectation_maximisation(
            "1=1", estimate_without_term_frequencies=True, fix_probability_two_random_records_match=True
        )
        table = linker.inference.predict().physical_name
        found = connection.sql(f"select unique_id_l, unique_id_r, match_weight from {table}").fetchnumpy()
    result = np.full((len(people), len(release)), -1000.0)
    result[found["unique_id_l"], found["unique_id_r"]] = np.maximum(found["match_weight"], -1000.0)
    return result


folder = Path(sys.argv[1])
for path in sorted(folder.glob("people-*.csv")):
    number = path.stem.partition("-")[2]
    tables = [pd.read_csv(folder / f"{name}-{number}.csv") for name in ("people", "release")]
    started = time.process_time()
    try:
        np.save(folder / f"weights-{number}.npy", weights(*tables))
    except ValueError as error:
        (folder / f"error-{number}.txt").write_text(str(error))
    np.save(folder / f"seconds-{number}.npy", time.process_time() - started)
