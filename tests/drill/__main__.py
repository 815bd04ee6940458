"""`make drill`: many kills, on real services that it starts itself; the verdicts as JSON lines at the end."""

import argparse
import json
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from sqlalchemy.engine import make_url

from infra.feeds.feed import shared_folder
from infra.stack.kafka import KafkaBroker
from infra.stack.postgres import Postgres, create_database
from tests.drill.kills import Drill, Verdict, kill_run
from tests.drill.trainers import TrainersVerdict, kill_trainers
from tests.e2e.program import monitor_file
from tests.e2e.stream import icu_records


def main() -> int:
    """Run the drill; exit code 1 when anything was lost, doubled or altered, or scoring stood still."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--events", type=int, default=60_000, help="that shards are killed over")
    parser.add_argument("--rate", type=float, default=150.0, help="observations a second while kills go on")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--trainer-kills", type=int, default=20)
    parser.add_argument("--every", type=float, default=15.0, help="seconds between two kills of a trainer")
    parser.add_argument("--trainers", type=int, default=2)
    asked = parser.parse_args()
    shared = shared_folder({})
    if shared is None:
        sys.exit("expected the folder of real data sets (BELLWETHER_SHARED); got none")
    with tempfile.TemporaryDirectory(prefix="bellwether-") as name:
        directory = Path(name)
        directory.chmod(0o711)
        with KafkaBroker(directory / "kafka") as broker, Postgres(directory / "postgres") as server:
            urls = [_database(server.url, each) for each in ("disturbed", "calm", "trainers")]
            _, monitor = monitor_file(directory / "any", broker.bootstrap, urls[0], "drill")
            records = icu_records(shared, monitor, asked.events)
            drill = Drill(records, broker.bootstrap, "drill", urls[0], urls[1], directory, asked.rate)
            verdicts: list[Verdict | TrainersVerdict] = []
            if asked.kills:
                verdicts.append(kill_run(drill, asked.kills, asked.seed))
            if asked.trainer_kills:
                everything = icu_records(shared, monitor, None)
                drill = replace(drill, records=everything, topic="drill.trainers", disturbed_url=urls[2])
                verdicts.append(kill_trainers(drill, asked.trainer_kills, asked.every, asked.trainers, asked.seed))
    for verdict in verdicts:
        print(json.dumps(verdict.described()))
    return 0 if all(verdict.clean for verdict in verdicts) else 1


def _database(server_url: str, name: str) -> str:
    url = make_url(server_url)
    assert url.port is not None
    create_database(url.port, name)
    return url.set(database=name).render_as_string(hide_password=False)


if __name__ == "__main__":
    sys.exit(main())
