from django.db import migrations, models

from payments.migration_operations import AddIndexUnlocked


class Migration(migrations.Migration):

    atomic = False

    dependencies = [
        ('payments', '0003_fetching'),
    ]

    operations = [
        AddIndexUnlocked(
            model_name='refundrequest',
            index=models.Index(condition=models.Q(('given_up_at', None), ('refund_id', '')), fields=['created_at'], name='unanswered_refunds'),
        ),
    ]
