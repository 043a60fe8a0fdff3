"""Labels: can the model name a picture's category and colour, untaught and after a look at the shop's own?

Zero-shot is the nearest label, once by its bare name and once by the mean of several sentences; label vectors are
scaled to length one (FashionCLIP's published code forgets to). The probe is what a shop could have by teaching: a
linear classifier on frozen picture vectors. It is ridge regression onto the classes, whose held-out answers have a
closed form: 10 ms, where scikit-learn's logistic regression takes seconds to import and to fit.
"""

from collections.abc import Callable

import numpy as np

from pluribus import metrics, probes, texts
from pluribus.evaluate.exam import Exam, Unmeasured
from pluribus.records import Score

FOLDS = 5
PENALTIES = (0.01, 0.1, 1.0, 10.0)


def category(exam: Exam) -> list[Score]:
    """The last level of the category."""
    return _named(exam, "category", "categories", texts.classes(exam.release.rows))


def colour(exam: Exam) -> list[Score]:
    """The colour the feed states."""
    return _named(exam, "colour", "colours", probes.colours(exam.release.rows))


LABELS: dict[str, Callable[[Exam], list[Score]]] = {"zero-shot category": category, "zero-shot colour": colour}


def _named(exam: Exam, what: str, plural: str, of: list[str]) -> list[Score]:
    release = exam.release
    known = np.array([bool(label) for label in of], dtype=bool)
    asked = exam.sample(release.has_image & known)
    labels = sorted({of[i] for i in np.flatnonzero(release.has_image & known)})
    if len(labels) < 2:
        raise Unmeasured(f"{len(labels)} {plural} with pictures, and 2 are needed")
    at = {label: n for n, label in enumerate(labels)}
    truth = np.array([at[of[i]] for i in asked])
    pictures = release.image[asked].astype(np.float32)
    scores = []
    ways = {f"zero-shot {what}": (exam.model.label,), f"zero-shot {what}, raw label": ("{label}",),
            f"zero-shot {what}, {len(probes.PROMPTS)} prompts": probes.PROMPTS}  # fmt: skip
    for name, templates in ways.items():
        if templates == ("{label}",) == (exam.model.label,) and "raw" in name:
            continue  # the model's own sentence is the bare label
        said = np.argmax(pictures @ label_vectors(exam, labels, templates).T, axis=1)
        scores += metrics.f1_scores(name, truth, said, len(labels), exam.seed)
    try:
        said = probe(pictures, truth, len(labels), exam.seed)
    except Unmeasured:
        return scores
    return [*scores, *metrics.f1_scores(f"linear probe {what}", truth, said, len(labels), exam.seed)]


def label_vectors(exam: Exam, labels: list[str], templates: tuple[str, ...]) -> np.ndarray:
    """One unit vector a label [n, width]: the mean over the templates' sentences."""
    summed = sum(exam.look_up(texts.label_texts(labels, template)).astype(np.float32) for template in templates)
    assert isinstance(summed, np.ndarray)
    return np.asarray(summed / np.linalg.norm(summed, axis=1, keepdims=True))


def probe(vectors: np.ndarray, truth: np.ndarray, n_classes: int, seed: int = 0) -> np.ndarray:
    """What a linear classifier says of each case that it was not taught: classes [m], by 5 folds.

    Equal vectors (a picture of several products) are in the same fold. The penalty is the one that does best on
    a fifth of what teaches, drawn and kept apart. Raises Unmeasured where folds would have one vector at most.
    """
    place: dict[bytes, int] = {}
    of = np.array([place.setdefault(vector.tobytes(), len(place)) for vector in vectors], dtype=np.int64)
    if len(place) < 2 * FOLDS:
        raise Unmeasured(f"{len(place)} different pictures, and {2 * FOLDS} are needed to teach and ask")
    rng = np.random.default_rng(seed)
    fold = (rng.permutation(len(place)) % FOLDS)[of]
    wanted = np.eye(n_classes)[truth]
    said = np.zeros(len(truth), dtype=np.int64)
    for held in range(FOLDS):
        taught, asked = np.flatnonzero(fold != held), np.flatnonzero(fold == held)
        kinds = rng.permutation(np.unique(of[taught]))
        apart = np.isin(of[taught], kinds[: len(kinds) // 5 or 1])
        shown, tried = taught[~apart], taught[apart]
        right = [np.mean(_ridge(vectors[shown], wanted[shown], vectors[tried], penalty).argmax(1) == truth[tried])
                 for penalty in PENALTIES]  # fmt: skip
        best = PENALTIES[int(np.argmax(right))]
        said[asked] = _ridge(vectors[taught], wanted[taught], vectors[asked], best).argmax(1)
    return said


def _ridge(taught: np.ndarray, wanted: np.ndarray, asked: np.ndarray, penalty: float) -> np.ndarray:
    centre = taught.mean(axis=0)
    x = taught - centre
    weights = np.linalg.solve(x.T @ x + penalty * np.eye(x.shape[1]), x.T @ (wanted - wanted.mean(axis=0)))
    return np.asarray((asked - centre) @ weights + wanted.mean(axis=0))
