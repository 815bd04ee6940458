"""The RayJob is what KubeRay and the command line understand."""

import shlex
from importlib.metadata import version
from pathlib import Path

import pytest
import yaml

from infra.commands.run import run

FILE = Path(__file__).parents[3] / "infra" / "deploy" / "rayjob.yaml"
JOB = yaml.safe_load(FILE.read_text())
CLUSTER = JOB["spec"]["rayClusterSpec"]
GROUPS = [CLUSTER["headGroupSpec"], *CLUSTER["workerGroupSpecs"]]
PODS = [group["template"]["spec"] for group in GROUPS]
# https://docs.ray.io, "RayJob quickstart", and the API reference of ray.io/v1
FIELDS = {"entrypoint", "shutdownAfterJobFinishes", "ttlSecondsAfterFinished", "backoffLimit", "rayClusterSpec"}


def test_it_is_a_ray_job_of_the_ray_that_is_installed():
    assert (JOB["apiVersion"], JOB["kind"], set(JOB["spec"])) == ("ray.io/v1", "RayJob", FIELDS)
    assert CLUSTER["rayVersion"] == version("ray")


def test_its_entrypoint_is_a_command_line_that_run_takes():
    program, command, *arguments = shlex.split(JOB["spec"]["entrypoint"])
    asked = run.make_context("run", arguments).params
    assert (program, command, asked["ray_address"]) == ("bellwether", "run", "auto")


@pytest.mark.parametrize("pod", PODS)
def test_every_pod_sees_the_monitor_and_one_shared_directory(pod):
    mounted = {mount["mountPath"]: mount["name"] for mount in pod["containers"][0]["volumeMounts"]}
    backed = {volume["name"]: next(key for key in volume if key != "name") for volume in pod["volumes"]}
    kinds = {path: backed[name] for path, name in mounted.items()}
    assert kinds == {"/etc/bellwether": "configMap", "/var/lib/bellwether": "persistentVolumeClaim"}
    assert JOB["spec"]["entrypoint"].split()[2].startswith("/etc/bellwether/")


@pytest.mark.parametrize("pod", PODS)
def test_addresses_and_passwords_come_from_a_secret(pod):
    container = pod["containers"][0]
    assert container["envFrom"] == [{"secretRef": {"name": "bellwether"}}]
    assert {each["name"] for each in container["env"]} == {"BELLWETHER_DATABASE__DIRECTORY", "RAY_worker_niceness"}


@pytest.mark.parametrize("group", GROUPS[1:])
def test_a_group_of_workers_has_a_name_and_room_to_grow(group):
    assert group["groupName"]
    assert group["minReplicas"] <= group["replicas"] <= group["maxReplicas"]
