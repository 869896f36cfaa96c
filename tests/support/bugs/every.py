"""Bugs that were made elsewhere, or could be made here, and the tests that see each."""

from tests.support.bugs.acting import ARCHIVING, EXECUTING, SETTLING
from tests.support.bugs.carrying import CONSUMING, PUBLISHING
from tests.support.bugs.deciding import COMMANDS, INTAKE
from tests.support.bugs.storing import STORING

BUGS = (*COMMANDS, *INTAKE, *CONSUMING, *PUBLISHING, *STORING, *EXECUTING, *SETTLING, *ARCHIVING)
