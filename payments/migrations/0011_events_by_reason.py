from django.db import migrations, models

from payments.migration_operations import AddIndexUnlocked


class Migration(migrations.Migration):

    atomic = False

    dependencies = [
        ('payments', '0010_payments_to_look_at'),
    ]

    operations = [
        AddIndexUnlocked(
            model_name='webhookevent',
            index=models.Index(condition=models.Q(('reason__in', ['', 'type', 'not_ours']), _negated=True), fields=['reason', '-received_at'], name='event_by_reason'),
        ),
    ]
