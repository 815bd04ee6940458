"""What the network believed of labels before it learned from them: the measure of who tells what it would not have.

P rows that a label is about.
"""

import torch

from schemas.label import Label
from schemas.layout import Layout
from trainer.lesson import Lesson
from trainer.network import Outputs


@torch.no_grad()
def believed(lesson: Lesson, outputs: Outputs, layout: Layout) -> dict[Label, float]:
    """Label -> probability given to what it says, mean over its rows. Of the anomaly task: at even odds."""
    place = {task.name: index for index, task in enumerate(layout.choices)}
    found = {}
    for label, rows_P in lesson.told:
        if label.task == layout.anomaly.name:
            faulty_P = torch.sigmoid(outputs.anomaly_N[rows_P])
            given_P = torch.where(lesson.targets.faulty_N[rows_P] > 0, faulty_P, 1.0 - faulty_P)
        else:
            index = place[label.task]
            class_P = lesson.targets.classes[index][rows_P]
            given_P = torch.softmax(outputs.states[index][rows_P], 1).gather(1, class_P[:, None])
        found[label] = float(given_P.mean())
    return found
