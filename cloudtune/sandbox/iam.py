"""What moto's IAM lacks and SDKs ask before they create a job."""

from __future__ import annotations

import uuid
from xml.sax.saxutils import escape

from cloudtune.sandbox.aws_error import AwsError
from cloudtune.sandbox.calls import Call
from cloudtune.sandbox.moto_world import MotoWorld
from cloudtune.sandbox.replies import Reply

_AWS_MANAGED = "arn:aws:iam::aws:policy/"


class IamResponder:
    """Allows whatever is simulated, and knows every policy that AWS manages."""

    def __init__(self, world: MotoWorld) -> None:
        self._world = world

    def __call__(self, call: Call) -> Reply | None:
        form = call.form()
        if call.operation in ("SimulatePrincipalPolicy", "SimulateCustomPolicy"):
            self._check_source(form.get("PolicySourceArn", ""))
            return _simulation(call.operation, form)
        arn = form.get("PolicyArn", "")
        if call.operation.startswith("Attach") and arn.startswith(_AWS_MANAGED):
            self._world.ensure_managed_policy(arn)
        return None

    def _check_source(self, arn: str) -> None:
        if ":role/" in arn and not self._world.has_role(arn):
            name = arn.rpartition("/")[2]
            raise AwsError("NoSuchEntity", f"The role with name {name} cannot be found.", 404)


def _simulation(operation: str, form: dict[str, str]) -> Reply:
    actions = [value for name, value in form.items() if name.startswith("ActionNames.")]
    resources = [value for name, value in form.items() if name.startswith("ResourceArns.")] or ["*"]
    members = "".join(
        f"<member><EvalActionName>{escape(action)}</EvalActionName><EvalResourceName>{escape(resources[0])}"
        "</EvalResourceName><EvalDecision>allowed</EvalDecision><MatchedStatements/><MissingContextValues/></member>"
        for action in actions
    )
    body = (
        f'<{operation}Response xmlns="https://iam.amazonaws.com/doc/2010-05-08/"><{operation}Result>'
        f"<IsTruncated>false</IsTruncated><EvaluationResults>{members}</EvaluationResults></{operation}Result>"
        f"<ResponseMetadata><RequestId>{uuid.uuid4()}</RequestId></ResponseMetadata></{operation}Response>"
    )
    return Reply(body.encode(), "text/xml")
