# SPDX-License-Identifier: GPL-3.0-or-later
"""The PodTemplate kind: a stored recipe for pods."""

from typing import Annotated, Any

from msgspec.structs import replace

from navarch.api.core.pod import defaults as pod_defaults
from navarch.api.core.pod import validation as pod_validation
from navarch.api.core.pod import warnings as pod_warnings
from navarch.api.core.pod.spec import PodTemplateSpec
from navarch.api.core.pod.template_columns import CONTAINERS, IMAGES, containers
from navarch.api.machinery.columns import NAME, labels
from navarch.api.machinery.errors import FieldError
from navarch.api.machinery.fields import field, wire
from navarch.api.machinery.meta import Object
from navarch.api.machinery.scheme import Column, Kind, Rules


class PodTemplate(Object):
    """A recipe for pods."""

    template: Annotated[PodTemplateSpec | None, wire(2, "How the pods are made.")] = field("template", None)


class PodTemplateRules(Rules[PodTemplate]):
    def default(self, obj: PodTemplate) -> PodTemplate:
        if obj.template is None:
            return obj
        template = pod_defaults.template(obj.template)
        return obj if template is obj.template else replace(obj, template=template)

    def validate(self, obj: PodTemplate) -> list[FieldError]:
        return pod_validation.template(obj.template, "template")

    def warnings(self, obj: PodTemplate) -> list[str]:
        return pod_warnings.template(obj.template, "template")

    def spec_changed(self, new: PodTemplate, old: PodTemplate) -> bool:
        return new.template != old.template


def cells(obj: PodTemplate, now: float) -> list[Any]:
    template = obj.template
    meta = template.metadata if template is not None else None
    return [obj.metadata.name or "", *containers(template), labels(meta.labels if meta is not None else None)]


POD_TEMPLATE = Kind(
    PodTemplate,
    resource="podtemplates",
    answers_deleted=True,
    columns=(
        NAME,
        replace(CONTAINERS, priority=0),
        replace(IMAGES, priority=0),
        Column("Pod Labels", description="Labels of the pods."),
    ),
    cells=cells,
    rules=PodTemplateRules(),
)
