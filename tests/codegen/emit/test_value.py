"""An expression builds the very value it was made from, and names no default."""

import pytest

from codegen.emit.layout import flat
from codegen.emit.value import classes, expression
from generated.catalog import PROVIDER_IDS, load
from runtime import catalog
from runtime.catalog import Capability, Limits, Model
from tests.support.each import each


def test_defaults_are_left_out_and_enums_go_by_name():
    model = Model(id="a", has=(Capability.TOOLS,), limits=Limits(context=128_000))

    assert flat(expression(model)) == 'Model(id="a", has=(Capability.TOOLS,), limits=Limits(context=128_000))'
    assert sorted(classes(model)) == ["Capability", "Limits", "Model"]


@each(PROVIDER_IDS)
def test_a_provider_is_rebuilt_from_its_expression(provider_id: str):
    provider = load(provider_id)

    assert provider.id == provider_id
    assert eval(flat(expression(provider)), vars(catalog)) == provider


def test_what_has_no_expression_is_refused():
    with pytest.raises(TypeError, match="no expression for object"):
        expression(object())
