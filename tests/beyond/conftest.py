"""`@pytest.mark.checks("equation.id", ...)` says which equations a test proves against an independent answer."""


def pytest_configure(config):
    config.addinivalue_line("markers", "checks(*ids): the exact check of these equations")
