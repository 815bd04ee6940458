"""`python -m tests.e2e.trainer_program MONITOR INDEX`: a trainer in a process of its own, without Ray.

Places come as JSON lines on standard input, what it says of itself goes out as JSON lines.
"""

import json
import sys
import threading
import time
from pathlib import Path

import torch

from infra.logs import configure
from infra.place import Place
from infra.settings import load_monitor
from infra.trainer_service import TrainerService


def main() -> None:
    """Serve until standard input ends."""
    configure(verbose=True)
    torch.set_num_threads(1)
    service = TrainerService(load_monitor(Path(sys.argv[1])), int(sys.argv[2]))
    threading.Thread(target=_obey, args=(service,), daemon=True).start()
    threading.Thread(target=_tell, args=(service,), daemon=True).start()
    service.serve()


def _obey(service: TrainerService) -> None:
    for line in sys.stdin:
        service.join(Place(**json.loads(line)))
    service.stop()


def _tell(service: TrainerService) -> None:
    while True:
        print(json.dumps(service.status()), flush=True)
        time.sleep(0.1)


if __name__ == "__main__":
    main()
