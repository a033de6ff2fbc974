"""Workers that only seem to train, and the books of where they were."""

from expctl.devices import detection, leases
from expctl.runs.files import write_json
from expctl.sweep.pool import Pool


class Trained:
    """A worker that takes a number of looks to do what it is told to: complete, fail, or wait to be stopped."""

    def __init__(self, hall, run, environment, looks, fate):
        self._hall, self._run, self._left, self._fate = hall, run, looks, fate
        self.devices, self.environment = environment.get("CUDA_VISIBLE_DEVICES"), environment
        self._told = False
        hall.enter(self)

    def poll(self):
        self._left -= 1
        if self._told or (self._left <= 0 and self._fate != "waits"):
            return self._leave("interrupted" if self._told else self._fate)
        return None

    def _leave(self, status):
        self._hall.leave(self)
        if status == "mute":
            return 1
        write_json(self._run.outcome, {"status": status, "error": "KeyError: 'lost'" if status == "failed" else None})
        if status == "completed":
            write_json(self._run.summary, {"objective": float(self._run.run_id.split("-s")[1].split("-")[0])})
        return {"completed": 0, "failed": 1, "interrupted": 75}[status]

    def stop(self):
        self._told = True

    stop_now = stop


class Hall:
    """Where the workers of a pool meet; keeps the books."""

    def __init__(self):
        self.inside, self.most, self.order, self.environments = [], 0, [], []

    def enter(self, worker):
        self.inside.append(worker)
        self.order.append(worker.devices)
        self.environments.append(worker.environment)
        self.most = max(self.most, len(self.inside))
        used = [name for worker in self.inside for name in (worker.devices or "").split(",") if name]
        cells = int(worker.environment.get(leases.CELLS_PER_GPU, "1"))
        assert max(map(used.count, used), default=0) <= cells, f"a device is used by more cells than were told: {used}"

    def leave(self, worker):
        if worker in self.inside:
            self.inside.remove(worker)


def swim(hall, jobs, *, looks=3, fates=None, n_jobs=None, cells_per_gpu=1, fail_fast=False, look=lambda: None):
    fates = fates or {}

    def start(experiment):
        fate = fates.get(experiment.config["seed"], "completed")
        return lambda command, environment, run, folder: Trained(hall, run, environment, looks, fate)

    return Pool(jobs, n_jobs=n_jobs, cells_per_gpu=cells_per_gpu, fail_fast=fail_fast, start=start, look=look).run()


def on_gpus(monkeypatch, tmp_path, names):
    monkeypatch.setattr(detection, "gpu_names", lambda dev=None: names)
    monkeypatch.setattr(leases.tempfile, "gettempdir", lambda: str(tmp_path))
