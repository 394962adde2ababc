from django.db import migrations, models

from payments.migration_operations import AddIndexUnlocked


class Migration(migrations.Migration):

    atomic = False

    dependencies = [
        ('payments', '0009_money_in_sums'),
    ]

    operations = [
        AddIndexUnlocked(
            model_name='payment',
            index=models.Index(condition=models.Q(('attention', ''), _negated=True), fields=['-created_at'], name='payments_to_look_at'),
        ),
    ]
