"""Trains the bundled model for a given time, and goes on from its last checkpoint.

python -m scripts.storyteller.train --minutes 85 --checkpoints CHECKPOINTS [--texts FOLDER]
"""

import argparse
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch.nn.functional import cross_entropy
from transformers import PreTrainedTokenizerFast

from .corpus import ANSWER_WEIGHT, Corpus, Mix, read_texts, tokenizer_sample
from .evaluation_files import held_out_questions
from .export import Progress, export
from .measures import accuracy_by_kind, choose
from .model import CONTEXT, VOCABULARY, new_model, new_optimizers
from .tokenizer import train_tokenizer

SEED = 1
TOKENIZER_STORIES = 4000
WARMUP_STEPS = 100
SMOOTHING = 0.98  # of the running averages
DECAY_FROM = 0.4  # of the time; then the learning rate falls to zero in a straight line
WATCH_SEED, WATCH_A_KIND = 40_000, 15  # questions asked while training; not those of assets/evaluation


@dataclass(frozen=True)
class Stage:
    until: float  # of the time
    rows: int
    length: int
    mix: Mix


# Short rows teach most for the time they take; rows of the whole context cost most, so they come last.
STAGES = (
    Stage(until=0.40, rows=26, length=160, mix=Mix(contested=0.15, texts=0.1)),
    Stage(until=0.88, rows=16, length=256, mix=Mix(contested=0.2, texts=0.2)),
    Stage(until=1.00, rows=8, length=CONTEXT, mix=Mix(contested=0.2, texts=0.2)),
)


class Training:
    def __init__(self, folder: Path, texts: list[str], minutes: float) -> None:
        self.folder = folder
        self.budget = minutes * 60
        self.tokenizer = _tokenizer(folder / "tokenizer", texts)
        self.model = new_model(self.tokenizer)
        self.optimizers = new_optimizers(self.model)
        self.base_rates = [optimizer.param_groups[0]["lr"] for optimizer in self.optimizers]
        self.progress = Progress()
        self._load()
        self.progress.threads = torch.get_num_threads()
        self.corpus = Corpus(self.tokenizer, texts, seed=SEED + self.progress.step)
        self.compiled_losses = torch.compile(self.losses)
        self.watched = held_out_questions(WATCH_SEED, WATCH_A_KIND)

    def losses(self, tokens: torch.Tensor, weights: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The weighted mean that is trained on, and the mean over answers alone."""
        logits = self.model(input_ids=tokens[:, :-1], use_cache=False).logits  # [rows, length, vocabulary]
        losses = cross_entropy(logits.flatten(0, 1), tokens[:, 1:].flatten(), reduction="none")
        weights = weights[:, 1:].flatten()
        answers = (weights == ANSWER_WEIGHT).float()
        return _mean(losses, weights), _mean(losses.detach(), answers)

    def step(self) -> float:
        done = self.progress.seconds / self.budget
        stage = self._stage(done)
        tokens, weights = self.corpus.batch(stage.rows, stage.length, stage.mix)
        loss, answer_loss = self.compiled_losses(tokens, weights)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self._update(pace=min(1.0, (self.progress.step + 1) / WARMUP_STEPS, (1 - done) / (1 - DECAY_FROM)))
        self.progress.step += 1
        self.progress.tokens += tokens[:, 1:].numel()
        self.progress.answer_loss += (1 - SMOOTHING) * (answer_loss.item() - self.progress.answer_loss)
        return loss.item()

    def _stage(self, done: float) -> Stage:
        stage = STAGES[self.progress.stage]
        if done >= stage.until:
            self.progress.stage += 1
            print(f"stage {self.progress.stage + 1} of {len(STAGES)}", flush=True)
        return STAGES[self.progress.stage]

    def _update(self, pace: float) -> None:
        for optimizer, rate in zip(self.optimizers, self.base_rates, strict=True):
            for group in optimizer.param_groups:
                group["lr"] = rate * max(pace, 0.0)
            optimizer.step()
            optimizer.zero_grad()

    def run(self, watch_every: float, save_every: float) -> None:
        clock = time.monotonic()
        watched_at = saved_at = self.progress.seconds
        average = None
        while self.progress.seconds < self.budget:
            loss = self.step()
            now = time.monotonic()
            self.progress.seconds, clock = self.progress.seconds + now - clock, now
            average = loss if average is None else SMOOTHING * average + (1 - SMOOTHING) * loss
            if self.progress.step % 50 == 0:
                self._report(average)
            if self.progress.seconds - watched_at >= watch_every:
                watched_at = self.progress.seconds
                self._watch()
            if self.progress.seconds - saved_at >= save_every:
                saved_at = self.progress.seconds
                self.save()
        self.save()
        self._watch()

    def _report(self, loss: float) -> None:
        progress, left = self.progress, self.budget - self.progress.seconds
        rate = progress.tokens / progress.seconds
        print(
            f"step {progress.step:>6,}  {progress.tokens:>11,} tokens  {rate:,.0f} tokens/s  loss {loss:.3f}  "
            f"answers {progress.answer_loss:.3f}  {left / 60:.1f} minutes left",
            flush=True,
        )

    def _watch(self) -> None:
        chosen = choose(self.model, self.tokenizer, self.watched)
        by_kind = accuracy_by_kind(self.watched, chosen)
        kinds = "  ".join(f"{kind} {value:.2f}" for kind, value in by_kind.items())
        print(f"accuracy {sum(by_kind.values()) / len(by_kind):.3f}  {kinds}", flush=True)

    def _load(self) -> None:
        path = self.folder / "checkpoint.pt"
        if path.exists():
            saved = torch.load(path, weights_only=True)
            self.model.load_state_dict(saved["model"])
            for optimizer, state in zip(self.optimizers, saved["optimizers"], strict=True):
                optimizer.load_state_dict(state)
            self.progress = Progress(**saved["progress"])
            print(f"going on from step {self.progress.step:,}", flush=True)

    def save(self) -> None:
        self.progress.told_tokens += self.corpus.read["told"]
        self.progress.text_tokens += self.corpus.read["texts"]
        self.corpus.read = dict.fromkeys(self.corpus.read, 0)
        state = {
            "model": self.model.state_dict(),
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
            "progress": asdict(self.progress),
        }
        fresh = self.folder / "checkpoint.new"
        torch.save(state, fresh)
        fresh.replace(self.folder / "checkpoint.pt")


def _mean(values: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    return (values * weights).sum() / weights.sum().clamp_min(1e-6)


def _tokenizer(folder: Path, texts: list[str]) -> PreTrainedTokenizerFast:
    if not folder.exists():
        sample = tokenizer_sample(texts, TOKENIZER_STORIES, SEED)
        train_tokenizer(sample, VOCABULARY, CONTEXT).save_pretrained(folder)
    return PreTrainedTokenizerFast.from_pretrained(folder)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, required=True, help="time to train, earlier runs counted in")
    parser.add_argument("--checkpoints", type=Path, required=True, help="a folder outside the repository")
    parser.add_argument(
        "--texts", type=Path, help="a folder of .txt files with real stories; none: the story world alone"
    )
    parser.add_argument("--output", type=Path, default=Path("assets/storyteller"))
    parser.add_argument("--watch-minutes", type=float, default=10, help="how often held-out questions are asked")
    parser.add_argument("--save-minutes", type=float, default=5)
    arguments = parser.parse_args()
    torch.manual_seed(SEED)
    arguments.checkpoints.mkdir(parents=True, exist_ok=True)
    texts = read_texts(arguments.texts) if arguments.texts else []
    training = Training(arguments.checkpoints, texts, arguments.minutes)
    training.run(arguments.watch_minutes * 60, arguments.save_minutes * 60)
    export(training.model, training.tokenizer, training.progress, arguments.output)


if __name__ == "__main__":
    main()
