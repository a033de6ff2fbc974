"""A generation batch that is sampled in turns."""

from types import SimpleNamespace

from expctl.worker.sampling_turns import sample_in_turns


class Sampler:
    """What TRL's trainer has of it: completions that tell their prompt, and the sizes of the calls."""

    def __init__(self):
        self.calls = []

    def _generate_single_turn(self, prompts, images, others, num_generations, has_tool_images=False):
        self.calls.append(len(prompts))
        return [[prompt, num_generations] for prompt in prompts], None


def sampled(rows, images=None):
    sampler = Sampler()
    sample_in_turns({"hardware": {"sampled_rows": rows} if rows else {}}, sampler)
    return sampler._generate_single_turn(list(range(10)), images, {}, 5), sampler.calls


def test_turns_give_the_completions_of_all_prompts_in_their_order():
    assert sampled(4) == (([[prompt, 5] for prompt in range(10)], None), [4, 4, 2])


def test_without_a_number_or_with_enough_all_are_sampled_at_once():
    assert sampled(None)[1] == sampled(10)[1] == sampled(99)[1] == [10]


def test_images_belong_to_the_whole_batch():
    assert sampled(4, images=["picture"])[1] == [10]


def test_a_trainer_that_samples_nothing_is_left_alone():
    trainer = SimpleNamespace()
    sample_in_turns({"hardware": {"sampled_rows": 4}}, trainer)
    assert not vars(trainer)
