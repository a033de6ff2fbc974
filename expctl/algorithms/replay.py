"""Replay of whole groups as a mixin over `GRPOTrainer`: what to store, what to replace, and the correction for age."""

import logging
import os
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from transformers import PreTrainedModel
from trl.models.utils import disable_gradient_checkpointing
from trl.trainer.grpo_trainer import RewardFunc
from trl.trainer.utils import use_adapter

from expctl.algorithms.group_contrast import SampledGroup, batch_scale, sampled_groups
from expctl.algorithms.replay_buffer import ReplayBuffer, StoredGroup, expand, layout
from expctl.algorithms.replay_correction import correct_replayed
from expctl.algorithms.replay_pending import PendingGroups
from expctl.algorithms.rollout_checkpoint import checkpoint_folder
from expctl.algorithms.rows import Batch, pack, select_rows, unpack
from expctl.algorithms.trainer_hooks import LossInputs, Rollout, loss_mask

if TYPE_CHECKING:
    from expctl.algorithms.grpo_with_replay_buffer import GRPOWithReplayBufferConfig

logger = logging.getLogger(__name__)

BUFFER_FILE = "replay_buffer.pt"


class GroupReplay(LossInputs):
    """Replaces groups without reward variance by stored ones, in training only. Needs `ScoredRollout` in the bases.

    What is stored: rows as they stood before any update, unpadded, with their raw rewards and their log-probabilities
    under the policy that wrote them. The latter cost no forward pass: upstream's where it computes them, else those
    of the row's own training step, which is taken at the same weights (that is when upstream leaves them out).

    Every process holds the same buffer and draws the same groups from it, whatever their number: rows travel once,
    when they are stored, and a draw needs no communication. The price is memory: `replay_buffer_max_bytes` of host
    memory in every process at most, about 12 bytes a completion token and 8 a prompt token.

    A batch that nothing is replaced in is upstream's to the last bit. In one with replayed rows `num_items_in_batch` is
    counted anew, fresh rows stay at ratio one (or keep upstream's old log-probabilities), advantages that upstream
    scales by the whole batch are scaled by the batch as it has become, and reference log-probabilities of replayed
    rows are computed with the reference model of now.

    Raises:
        ValueError: in the constructor, without the fields of `GRPOWithReplayBufferConfig`, or with a vision-language
            model.
    """

    args: "GRPOWithReplayBufferConfig"
    _rollout: Rollout  # of `ScoredRollout`

    def __init__(
        self,
        model: str | PreTrainedModel,
        reward_funcs: RewardFunc | list[RewardFunc] | None = None,
        args: "GRPOWithReplayBufferConfig | None" = None,
        *positional: Any,
        **keywords: Any,
    ):
        if args is None or not hasattr(args, "replay_buffer_size"):
            raise ValueError("Replay needs the fields of GRPOWithReplayBufferConfig in args (replay_buffer_size, ...).")
        super().__init__(model, reward_funcs, args, *positional, **keywords)
        if self._is_vlm and args.replay_buffer_size > 0:
            raise ValueError("Replay does not store images. Set replay_buffer_size=0 for a vision-language model.")
        self.replay_buffer = ReplayBuffer(
            capacity=args.replay_buffer_size,
            max_bytes=args.replay_buffer_max_bytes,
            max_age=args.replay_max_age,
            max_uses=args.replay_max_uses,
            seed=args.seed,
        )
        self._pending = PendingGroups()

    # A rollout: store groups of the last one, replace groups of this one, keep those worth storing

    def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> Batch:
        batch: Batch = super()._generate_and_score_completions(inputs)
        if not self.model.training or self.args.replay_buffer_size == 0:
            return batch
        self._store_pending()
        groups = self._sampled_groups(batch)
        stored = self._draw(groups, batch)
        scale = self._advantage_scale([group.rewards for group in groups], batch)
        self._remember([g for i, g in enumerate(groups) if i not in stored and g.contrast > 0], batch, scale)
        if stored:
            batch = self._replaced(batch, groups, stored, scale)
        if self._pending.groups:
            batch["stored_position"] = self._positions(batch)
        self._log_replay(groups, stored)
        return batch

    def _positions(self, batch: Batch) -> torch.Tensor:
        rows = len(batch["prompt_ids"])
        first = self.accelerator.process_index * rows
        return torch.arange(first, first + rows, device=batch["prompt_ids"].device)

    def _sampled_groups(self, batch: Batch) -> list[SampledGroup]:
        samples = self.accelerator.gather(batch.get("sample_index", self._positions(batch))).tolist()
        return sampled_groups(
            samples, self._rollout.rewards, self.num_generations, self.reward_weights, self.multi_objective_aggregation
        )

    def _draw(self, groups: list[SampledGroup], batch: Batch) -> dict[int, StoredGroup]:
        """Which stored group takes the place of which sampled one, by its index."""
        step, allowed = self.state.global_step, int(self.args.replay_max_fraction * len(groups))
        if step < self.args.replay_warmup_steps:
            return {}
        fields = layout(batch)
        wasted = [i for i, group in enumerate(groups) if group.contrast == 0]
        stored: dict[int, StoredGroup] = {}
        for size in sorted({len(groups[i].positions) for i in wasted}):
            replaceable = [i for i in wasted if len(groups[i].positions) == size][: allowed - len(stored)]
            fits = partial(_fits, size=size, fields=fields)
            drawn = self.replay_buffer.draw(len(replaceable), step, fits)
            stored |= dict(zip(replaceable, drawn, strict=False))
        return stored

    def _advantage_scale(self, rewards: list[torch.Tensor], batch: Batch) -> float:
        """What this batch as a whole has divided its advantages by (1.0 for GRPO's default)."""
        scale = batch_scale(rewards, self.reward_weights, self.multi_objective_aggregation, self.scale_rewards)
        return scale / float(batch.get("rows_per_kept", 1.0))

    def _replaced(
        self, batch: Batch, groups: list[SampledGroup], stored: dict[int, StoredGroup], scale: float
    ) -> Batch:
        """The batch with the rows of `stored` in place of sampled ones. Collective: every rank calls it or none."""
        rewards = [stored[i].rewards if i in stored else group.rewards for i, group in enumerate(groups)]
        new_scale = self._advantage_scale(rewards, batch)
        first = self.accelerator.process_index * len(batch["prompt_ids"])
        incoming = {
            position - first: row
            for i, group in stored.items()
            for position, row in zip(groups[i].positions, group.rows, strict=True)
        }
        rows = []
        for i, fresh in enumerate(unpack(batch)):
            replayed = i in incoming
            row = expand(incoming[i], fresh) if replayed else fresh
            row["advantages"] = row["advantages"] * ((1.0 if replayed else scale) / new_scale)
            row["replayed"] = torch.tensor(replayed)
            row["old_is_current"] = torch.tensor("old_per_token_logps" not in row)
            row.setdefault("old_per_token_logps", torch.zeros(len(row["completion_ids"])))
            rows.append(row)
        replaced = pack(
            rows,
            pad_token_id=self._tokenizer.pad_token_id,
            device=batch["prompt_ids"].device,
            pad_to_multiple_of=self.pad_to_multiple_of,
        )
        whole = {key: value for key, value in batch.items() if isinstance(value, torch.Tensor) and value.ndim == 0}
        replaced |= whole | {"num_items_in_batch": self.accelerator.gather(loss_mask(replaced).sum()).sum()}
        if "ref_per_token_logps" in replaced:
            self._refresh_reference(replaced)
        return replaced

    def _refresh_reference(self, batch: Batch) -> None:
        """Score the replayed rows with the reference model of now.

        Every rank scores as many rows as the one that has most: sharded models wait for each other in every forward.
        """
        replayed = batch["replayed"].nonzero().flatten().tolist()
        most = int(self.accelerator.gather(batch["replayed"].sum()).max())
        fresh = [row for row in range(len(batch["replayed"])) if row not in replayed]
        part = select_rows(batch, (replayed + fresh)[:most])
        model = self.ref_model
        adapter: AbstractContextManager[None] = nullcontext()
        if model is None:  # the reference of an adapter is the same model with the adapter off, or with its first copy
            model, bare = self.model, self.accelerator.unwrap_model(self.model)
            adapter = use_adapter(bare, adapter_name="ref" if "ref" in bare.peft_config else None)
        checkpointing_kwargs = self.args.gradient_checkpointing_kwargs
        assert not isinstance(checkpointing_kwargs, str)  # transformers has read the JSON
        checkpointing = disable_gradient_checkpointing(self.model, checkpointing_kwargs)
        with torch.no_grad(), checkpointing, adapter:
            logps, _, _ = self._get_per_token_logps_and_entropies(
                model,
                torch.cat([part["prompt_ids"], part["completion_ids"]], dim=1),
                torch.cat([part["prompt_mask"], part["completion_mask"]], dim=1),
                part["completion_ids"].size(1),
                batch_size=self.args.per_device_train_batch_size,
            )
        batch["ref_per_token_logps"][replayed] = logps[: len(replayed)]

    def _remember(self, groups: list[SampledGroup], batch: Batch, scale: float) -> None:
        """Copy the rows of the groups that are worth storing, before anything is trained on."""
        worth_storing = [group for group in groups if self.replay_buffer.would_keep(group.contrast)]
        self._pending = PendingGroups(worth_storing, self.state.global_step)
        self._pending.copy_rows(batch, self._positions(batch).tolist(), scale)

    def _store_pending(self) -> None:
        """Put the last rollout's groups into every rank's buffer. Collective."""
        if self._pending.groups:
            for group in self._pending.complete():
                self.replay_buffer.add(group)
            self._pending = PendingGroups()

    def _log_replay(self, groups: list[SampledGroup], stored: dict[int, StoredGroup]) -> None:
        values = {
            "wasted": sum(group.contrast == 0 for group in groups) / len(groups),
            "rescued": len(stored) / len(groups),
            "groups": len(self.replay_buffer),
            "bytes": self.replay_buffer.nbytes,
        }
        if stored:
            values["age"] = sum(self.state.global_step - group.step for group in stored.values()) / len(stored)
            values["uses"] = sum(group.uses for group in stored.values()) / len(stored)
        for name, value in values.items():
            self._metrics["train"][f"replay/{name}"].append(float(value))

    # The loss

    def _revise_loss_inputs(self, inputs: Batch, logps: torch.Tensor) -> None:
        if "stored_position" in inputs:
            self._pending.captured.append((inputs["stored_position"], logps))
        if "replayed" in inputs:
            sums = correct_replayed(inputs, logps, self.args, self.get_off_policy_mask)
            weight, square, divergence, rows = self.accelerator.reduce(sums, reduction="sum").tolist()
            if rows:
                self._metrics["train"]["replay/effective_sample_size"].append(weight**2 / (square * rows))
                self._metrics["train"]["replay/kl"].append(divergence / rows)
        super()._revise_loss_inputs(inputs, logps)

    # The checkpoint

    def _save_checkpoint(self, model: torch.nn.Module, trial: Any) -> None:
        self._store_pending()
        if self.args.should_save and self.args.replay_buffer_size > 0:
            # Before the rest: the trainer's own state comes last, so a checkpoint that has it has the buffer too.
            folder = checkpoint_folder(self, trial)
            os.makedirs(folder, exist_ok=True)
            self.replay_buffer.save(os.path.join(folder, BUFFER_FILE))
        super()._save_checkpoint(model, trial)

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        super()._load_optimizer_and_scheduler(checkpoint)
        if checkpoint is None or self.args.replay_buffer_size == 0:
            return
        path = os.path.join(checkpoint, BUFFER_FILE)
        if os.path.exists(path):
            self.replay_buffer.load(path)
        else:
            logger.warning(f"{checkpoint} holds no {BUFFER_FILE}: it was written without replay. Starting empty.")


def _fits(group: StoredGroup, size: int, fields: dict[str, int]) -> bool:
    """Whether a stored group has as many rows as the group it is to replace, and the same fields."""
    return len(group.rows) == size and group.layout == fields
