"""What the words in a report's tables mean, in one plain line each."""

import re
from collections.abc import Iterable

_FIGURES = (
    ("raw", " raw ", "In the signals' own units."),
    ("standardised", " standardised ", "In standard deviations of each signal's first rows: signals can be averaged."),
    ("h1, h2, ...", r" h\d+ ", "So many of the entity's rows ahead; h900s: so many seconds."),
    ("to_h24", r" to_h\d+ ", "The mean over all horizons from one row ahead to this one."),
    ("mse", " mse ", "Mean squared error of the median forecast; lower is better."),
    ("mae", " mae ", "Mean absolute error of the median forecast; lower is better."),
    ("mase", " mase ", "Mean absolute error over that of repeating the last value; below 1 is better than that."),
    (
        "pinball",
        " pinball ",
        "Mean loss of the forecast quantiles; half the absolute error, for the median. Lower is better.",
    ),
    ("coverage (forecast)", r" (raw|standardised) \S+ coverage ", "Share of values within the outermost quantiles."),
    ("alarms", r"^ \S+ alarms ", "Rows at which an alert opened or got worse; one that told of several counts once."),
    ("alarms_of", " alarms_of ", "Alarms by what raised them: these kinds of alert are counted, and no other."),
    ("alarms_per_entity_day", " alarms_per_entity_day ", "Alarms over the days that entities were watched, added up."),
    ("silence", "^ silence ", "Alarms of feeds that failed. No other figure counts them but the budget's."),
    ("coverage 0.99", r" coverage 0\.\d+ ", "Share of rows whose evidence stayed within what is called this quantile."),
    ("budget", " budget ", "What became of the alarm budget: of each entity, of groups, in total."),
    ("budget alarms", " budget .*alarms ", "Alarms that it counts: of every kind, silence too."),
    ("always", " budget .*always ", "Alarms of it that no budget holds back: of critical rules, and of failed feeds."),
    (
        "false_discoveries",
        " false_discoveries ",
        "Alerts that the learned score opened, and the share of them that labels call false, beside the one asked for.",
    ),
    ("asked", " budget .*asked ", "The rate of alarms that the budget allows."),
    ("achieved", " budget .*achieved ", "The rate of alarms that was reached, in the same unit."),
    ("off", " budget .*off ", "How far the rate reached lies above or below the one asked for, in percent."),
    (
        "held_back",
        " held_back ",
        "Rows at which this task or rule found something that the budget did not let through.",
    ),
    ("faults", " faults ", "Stretches of labelled rows."),
    (
        "faults_alerted",
        " faults_alerted ",
        "How many had an alarm, from their first row to a few rows after their last.",
    ),
    ("alarms_false", " alarms_false ", "Alarms elsewhere."),
    ("auroc", " auroc ", "Chance that a row that should rank high does, above one that should not; a guess: 0.5."),
    (
        "auprc",
        " auprc ",
        "Mean precision as more and more of the highest rows are taken; a guess: the share that should.",
    ),
    (
        "vus_pr",
        " vus_pr ",
        "VUS-PR: precision over recall of labelled stretches, forgiving a few rows; mean over entities.",
    ),
    ("head", " head ", "The network's own opinion of a row, which labels teach. The dense score does without."),
    ("sharing path", " sharing path ", "Who answers: the network that tasks share, or a private path of the task."),
    ("sharing private_rows", " sharing private_rows ", "Rows that private paths answered."),
    ("rows", r" rows $", "Rows that could be judged."),
    ("shares", " shares ", "How often each class came."),
    ("accuracy", " accuracy ", "Share of rows whose likeliest class came."),
    ("balanced_accuracy", " balanced_accuracy ", "The same, each class counting alike."),
    ("log_loss", " log_loss ", "Mean of -log of the probability that had been given to what came; lower is better."),
    ("brier", " brier ", "Mean squared difference of the probability and what came, 0 or 1; lower is better."),
    ("base_rate", r" base_rate $", "Share for which the event came."),
    ("entities", r" entities $", "Entities of which an outcome was told."),
    ("last", " last ", "At the entity's last row before its outcome was told; h6: within 6 hours of its first row."),
    ("judged", " judged ", "Why there is no figure."),
    ("warnings", " warnings ", "The task's alerts against what they should foretell."),
    ("warnings alarms", " warnings alarms ", "Alerts of the task that opened."),
    ("events", " events ", "What should have been foretold."),
    ("caught", " caught ", "How many of these had an alarm before, within the time that the task looks ahead."),
    ("caught_share", " caught_share ", "The same as a share."),
    ("lead_hours", " lead_hours ", "Hours from the first such alarm to the event; q0.5: half of them were shorter."),
    ("lead_rows", " lead_rows ", "The same in the entity's rows."),
    ("foretelling", " foretelling ", "Alarms that an event followed in time."),
    ("late", " late ", "Alarms while the worst stood already."),
    ("false", " false ", "Alarms that nothing followed."),
    ("false_per_entity_day", " false_per_entity_day ", "The same over the days that entities were watched."),
    ("precision", " precision ", "Share of alarms that foretold an event."),
)
"""Term, what a figure's task and path look like that hold it, and what it means."""
_BASELINES = (
    ("persistence", "The last value, or the class that stands, goes on."),
    ("ewma", "z-score by exponentially weighted mean and deviation of the rows before; raises as many alarms as ours."),
    ("random", "Scores, or our own alarms, at random."),
    ("base_rate", "The same answer always: how often each class came."),
    ("rule", "The rule's own alerts."),
    (
        "single_signal",
        "How far any one signal of the rule lies from the usual of all rows; raises as many alarms as ours.",
    ),
)
ALERTS = (
    (
        "alert",
        "What raised it: the label-free score (anomaly), a rule, a state or event task, or the silence of a feed.",
    ),
    (
        "onset, peak, end",
        "Event time, UTC, at which it opened, was at its worst, and was over; open: not by the last row.",
    ),
    ("value", "At the peak: evidence, about -log10 p (anomaly); the rule's score; the probability (state, event)."),
    ("by", "Who computed it: the network, the last good network (a newer one being unfit), the detector, or a rule."),
)
PICTURES = (
    ("black", "What came."),
    ("blue", "The band, from the lowest to the highest quantile, forecast a row before."),
    ("anomaly", "The dense score: how strange each row is, from 0 to 1. It is always there, while alerts are rare."),
    ("lines", "Alerts that opened or got worse: cyan info, orange warning, red critical; dashed: the feed was silent."),
    ("grey", "Labelled rows."),
)


def figures(paths: Iterable[str]) -> list[tuple[str, str]]:
    """Term and meaning, of the terms that figures hold. `paths`: task and metric of each, words apart by spaces."""
    spaced = [f" {path} " for path in paths]
    return [(term, meaning) for term, pattern, meaning in _FIGURES if any(re.search(pattern, each) for each in spaced)]


def baselines(names: Iterable[str]) -> list[tuple[str, str]]:
    """The same of some baselines."""
    known = set(names)
    return [(name, meaning) for name, meaning in _BASELINES if name in known]
