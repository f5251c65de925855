"""Has OpenStack Heat make, use, change and delete a stack of all that uses Zaqar; run by test_heat.py.

It runs in an environment of its own, where nothing of the gateway is installed, and finds Keystone by the
OS_ variables, and the gateway in its catalog. The classes of Heat's engine run here as they are, with their
database in memory. Something else stands for what is not about Zaqar: for Mistral, for the rights to types of
resources, and for the users that Heat makes in Keystone for a stack, who are the member here. Prints what it
got as JSON.
"""

from __future__ import annotations

import json
import os
import sys
from types import SimpleNamespace
from typing import Any

import openstack
from heat.common import context, messaging, policy
from heat.db import api as database
from heat.db import models
from heat.engine import clients, environment, resources, scheduler, service_software_config, stack, template
from heat.engine.clients.os.keystone import KeystoneClientPlugin, fake_keystoneclient
from heat.engine.clients.os.mistral import MistralClientPlugin
from oslo_config import cfg
from oslo_db import options

MISTRAL = "http://mistral.example.org:8989/v2"

RESOURCES: dict[str, Any] = {
    "bare": {"type": "OS::Zaqar::Queue", "properties": {"name": "bare"}},
    "jobs": {
        # Its subscription makes the queue: Heat does not, and what is not there cannot be given metadata.
        "depends_on": ["hook"],
        "type": "OS::Zaqar::Queue",
        "properties": {"name": "jobs", "metadata": {"owner": "heat", "sizes": {"of": [1, 2]}}},
    },
    "url": {
        "type": "OS::Zaqar::SignedQueueURL",
        "properties": {
            "queue": "jobs",
            "ttl": 3600,
            "paths": ["messages", "claims"],
            "methods": ["GET", "POST"],
        },
    },
    "daily": {"type": "OS::Zaqar::SignedQueueURL", "properties": {"queue": "jobs"}},
    "mail": {
        "type": "OS::Zaqar::Subscription",
        "properties": {"queue_name": "jobs", "subscriber": "mailto:ada@example.org"},
    },
    "hook": {
        "type": "OS::Zaqar::Subscription",
        "properties": {
            "queue_name": "jobs",
            "subscriber": "http://example.org/hook",
            "ttl": 3600,
            "options": {"post_headers": {"X-Of": "heat"}},
        },
    },
    "trigger": {
        # So it is deleted before the queue, which ends its trust.
        "depends_on": ["jobs"],
        "type": "OS::Zaqar::MistralTrigger",
        "properties": {"queue_name": "jobs", "workflow_id": "resize", "input": {"size": 1}},
    },
    "handle": {"type": "OS::Heat::WaitConditionHandle", "properties": {"signal_transport": "ZAQAR_SIGNAL"}},
    "server": {
        "type": "OS::Heat::DeployedServer",
        "properties": {"software_config_transport": "ZAQAR_MESSAGE"},
    },
}
CHANGED = {
    "jobs": {"name": "jobs", "metadata": {"owner": "ada", "_default_message_ttl": 600}},
    "hook": {
        "queue_name": "jobs",
        "subscriber": "https://example.org/other",
        "ttl": 7200,
        "options": {"post_data": "x"},
    },
    "mail": {"queue_name": "jobs", "subscriber": "mailto:ada@example.org", "options": {"subject": "Jobs"}},
    "trigger": {"queue_name": "jobs", "workflow_id": "resize", "input": {"size": 2}},
}


def request_context(session: Any) -> context.RequestContext:
    """Who asks Heat for the stack: the member."""
    return context.RequestContext(
        username=os.environ["OS_USERNAME"],
        password=os.environ["OS_PASSWORD"],
        user_id=session.get_user_id(),
        user_domain_id="default",
        project_id=session.get_project_id(),
        auth_url=os.environ["OS_AUTH_URL"],
        is_admin=False,
    )


def parsed(asker: context.RequestContext, parts: dict[str, Any]) -> stack.Stack:
    """A stack of such resources, whose events go to a queue."""
    events = {"event_sinks": [{"type": "zaqar-queue", "target": "events", "ttl": 600}]}
    document = {"heat_template_version": "2015-10-15", "resources": parts}
    made = stack.Stack(asker, "cloud", template.Template(document, env=environment.Environment(events)))
    made.thread_group_mgr = SimpleNamespace(start=lambda _, task, *arguments: task(*arguments))
    return made


def subscriptions(zaqar: Any) -> dict[str, Any]:
    """What the gateway has of them: lifetime and options by subscriber."""
    return {one.subscriber: [one.ttl, one.options] for one in zaqar.subscriptions("jobs")}


def bodies(messages: Any) -> list[Any]:
    """What is in messages of python-zaqarclient."""
    return [message.body for message in messages]


def signals(made: stack.Stack, zaqar: Any) -> dict[str, Any]:
    """A server signals a wait condition, and then what reads for deployments, which has a signed URL."""
    handle = made["handle"]
    told = json.loads(handle.FnGetAtt("signal"))
    queue = zaqar.queue(told["queue_id"])
    queue.post({"body": {"status": "SUCCESS", "id": "one", "data": "ready"}, "ttl": 60})
    got = {"status": handle.get_status(), "data": handle.metadata_get(refresh=True)["one"]["data"]}
    queue.post({"body": {"deploy_stdout": "done"}, "ttl": 60})
    service = service_software_config.SoftwareConfigService()
    row = database.resource_get(made.context, handle.id)
    signed = service._get_zaqar_queue(made.context, row, made.stack_user_project_id, told["queue_id"])
    return got | {"signed": bodies(signed.pop()), "nothing": bodies(signed.pop())}


def metadata(made: stack.Stack, zaqar: Any) -> list[Any]:
    """What a server gets to know: when it is made, and when there is a new deployment for it."""
    server = made["server"]
    service = service_software_config.SoftwareConfigService()
    service._push_metadata_software_deployments(made.context, server.resource_id, made.stack_user_project_id)
    return bodies(zaqar.queue(server.data()["metadata_queue_id"]).pop(count=10))


def talk(asker: context.RequestContext) -> dict[str, Any]:
    """Create, use, change and delete the stack."""
    plugin = asker.clients.client_plugin("zaqar")
    zaqar = plugin.client()
    got: dict[str, Any] = {}
    made = parsed(asker, RESOURCES)
    made.validate()
    made.store()
    made.create_stack_user_project_id()
    scheduler.TaskRunner(made.create)()
    got["created"] = [*made.state, made.status_reason]
    got["jobs"] = made["jobs"].get_live_state(made["jobs"].properties)["metadata"]
    got["queue"] = made["jobs"].FnGetAtt("queue_id")
    got["subscriptions"] = subscriptions(zaqar)

    names = ("paths", "methods", "project", "expires", "signature")
    url = {name: made["url"].FnGetAtt(name) for name in names}
    got["daily"] = made["daily"].FnGetAtt("query_str")
    got["url"] = {name: url[name] for name in ("paths", "methods", "project")}
    by_url = plugin.create_from_signed_url(url.pop("project"), **url).queue("jobs")
    by_url.post({"body": "by its URL", "ttl": 60})
    got["by url"] = bodies(by_url.messages(echo=True))

    got["signals"] = signals(made, zaqar)
    got["metadata"] = metadata(made, zaqar)

    changed = {name: RESOURCES[name] | {"properties": properties} for name, properties in CHANGED.items()}
    made.update(parsed(asker, RESOURCES | changed))
    got["updated"] = [*made.state, made.status_reason]
    got["jobs updated"] = made["jobs"].get_live_state(made["jobs"].properties)["metadata"]
    got["subscriptions updated"] = subscriptions(zaqar)

    made.delete()
    got["deleted"] = [*made.state, made.status_reason]
    events = bodies(zaqar.queue("events").messages(echo=True, limit=20).stream())
    told = ("resource_name", "resource_action", "resource_status")
    got["events"] = [[event["payload"][field] for field in told] for event in events]
    # Heat leaves the queue of a server's metadata: it looks for "zaqar" in the catalog, not for "messaging".
    got["left"] = [queue.name for queue in zaqar.queues()[0]]
    for name in got["left"]:
        zaqar.queue(name).delete()
    return got


def stand_in(session: Any) -> None:
    """Put something in the place of what is not about Zaqar."""
    users = fake_keystoneclient.FakeKeystoneClient(user_id=session.get_user_id())
    users.create_stack_domain_project = lambda stack: session.get_project_id()
    users.stack_domain_user_token = lambda **user: session.get_token()
    KeystoneClientPlugin._create = lambda plugin: users
    workflows = SimpleNamespace(get=lambda name: SimpleNamespace(id=name))
    executions = SimpleNamespace(http_client=SimpleNamespace(base_url=MISTRAL))
    MistralClientPlugin._create = lambda plugin: SimpleNamespace(workflows=workflows, executions=executions)
    policy.ResourceEnforcer.enforce = lambda *of: True
    scheduler.ENABLE_SLEEP = False  # or it waits a second wherever it looks whether something is done


def main() -> None:
    """What Heat does when its engine starts, then a stack."""
    options.set_defaults(cfg.CONF, connection="sqlite://")
    models.BASE.metadata.create_all(database.get_engine())
    clients.initialise()
    resources.initialise()
    messaging.setup("fake://", optional=True)
    session = openstack.connect().session
    stand_in(session)
    json.dump(talk(request_context(session)), sys.stdout)


if __name__ == "__main__":
    main()
